"""What a job can leave behind in its process. A worker that does not fork does the next job in the same process."""

import time
from typing import NoReturn

import frappe

from devtools.paths import PROJECT
from tests.integration.factories import site_now
from tests.integration.folding import OUTBOX_SQL, POISON

ENV = {"PYTHONPATH": str(PROJECT)}  # of workers that do this job
LOCK = "memora:left"
KEY = "0" * 32


def leave(season: str) -> NoReturn:
	"""Fails in the middle of a transaction, with session and process set as no fold expects them."""
	now = site_now()
	frappe.db.sql(OUTBOX_SQL, (KEY, "left", season, POISON, now, now))
	frappe.db.sql("SELECT GET_LOCK(%s, 0)", LOCK)
	frappe.db.sql("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
	frappe.db.sql("SET SESSION time_zone = '-11:00', sql_mode = '', max_statement_time = 0.001")
	frappe.set_user("Guest")
	frappe.local.lang = "ar"
	frappe.local.conf.update(srs_redis_cache="redis://127.0.0.1:1/0", srs_redis_namespace="left")
	frappe.flags.in_import = True
	raise ValueError("left in the middle")


def hang() -> None:
	time.sleep(60)
