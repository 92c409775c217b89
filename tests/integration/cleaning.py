"""Removes what tests made, from MariaDB and both Redis. Nothing but the tests' own site is touched."""

from functools import lru_cache
from pathlib import Path

import frappe
import redis
from frappe.utils import add_days, getdate

from memora.services import settings
from memora.services.cache import incidents, safe_mode, settling
from memora.services.store import failures, question_status, tables
from tests.integration.factories import BANK, DOMAIN, STANDING_SEASON

ANSWER_TABLES = ("Player Memory Tracker", "Player Review Log", "Archived Memory Tracker", "Review Outbox")
FIGURES = (
	"Daily Activity",
	"Daily Activity Subject",
	"Daily Learner",
	"Activity Count",
	"Due Forecast",
	"Due Forecast Day",
)
LOG_TABLES = (
	"Error Log",
	"Notification Log",
	"Safe Mode Incident",
	"Safe Mode Admission",
	"Outdated Schedule",
	"Memora Host",
	"Cache Rebuild",
	"Cache Reconciliation",
	"Email Queue",
	"Activity Log",
	"Scheduled Job Log",
)
IMPORT_TABLES = (
	*("Anki Import", "Anki Import Deck", "Anki Import Problem"),
	*("Data Import", "Data Import Log", "Tag", "Tag Link"),
)
SUBJECTS = ", ".join(f"'{subject}'" for subject in BANK)
# By table, which of its rows tests have made. Most tables hold no others.
MADE_BY_TESTS = {
	**{f"tab{doctype}": "1" for doctype in (*ANSWER_TABLES, *FIGURES, *LOG_TABLES, *IMPORT_TABLES)},
	**dict.fromkeys(("tabMemora Learner", "tabMemora Erasure", "tabMemora Erasure Count"), "1"),
	**dict.fromkeys(("tabPrepared Report", "tabRoute History"), "1"),
	"tabMemora Former Address": "1",
	"tabQuestion Status": "1",
	"tabDefaultValue": "defkey LIKE 'memora_subject_%'",
	"tabHas Role": f"parent LIKE '%@{DOMAIN}'",
	"tabUser": f"name LIKE '%@{DOMAIN}'",
	"tabNotification Settings": f"name LIKE '%@{DOMAIN}'",
	"__Auth": f"name LIKE '%@{DOMAIN}'",
	"tabSessions": f"user LIKE '%@{DOMAIN}'",
	"tabGame Question Option": "parent NOT LIKE 'bank-%'",
	"tabGame Question": "name NOT LIKE 'bank-%'",
	"tabGame Topic": f"subject NOT IN ({SUBJECTS})",
	"tabGame Subject": f"name NOT IN ({SUBJECTS})",
	"tabFile": "NOT is_folder",
	"tabComment": "reference_doctype = 'Game Subscription Season' OR comment_type = 'Attachment'",
	"tabSingles": "doctype IN ('Memora Settings', 'Memora Health')",
}
# One statement that looks into all of them: most tests leave something in few
WHERE_ROWS_ARE_SQL = " UNION ALL ".join(
	f"SELECT '{table}' FROM DUAL WHERE EXISTS (SELECT 1 FROM `{table}` WHERE {rows})"
	for table, rows in MADE_BY_TESTS.items()
)

OTHER_SEASONS_SQL = "SELECT 1 FROM `tabGame Subscription Season` WHERE name <> %s LIMIT 1"
DELETE_OTHER_SEASONS_SQL = "DELETE FROM `tabGame Subscription Season` WHERE name <> %s"
STANDING_SEASON_SQL = """
	UPDATE `tabGame Subscription Season` SET
		is_active = 1, enable_redis = 1, auto_archive = 0, partition_created = 1, start_date = %(start)s, end_date = %(end)s,
		archived_at = NULL, archived_records = 0, archive_started_at = NULL, archive_status = NULL, archive_step = 0,
		jobs = NULL, archive_flags = NULL, closed_at = NULL, carries_on_from = NULL, earlier_seasons = NULL, date_moves = NULL
	WHERE name = %(name)s"""


def srs_redis() -> redis.Redis:
	"""The schedules' Redis, as the site's configuration on disk names it."""
	conf = frappe.get_site_config()
	return _client(conf["srs_redis_cache"], bool(conf.get("srs_redis_cluster")))


@lru_cache
def _client(url: str, is_cluster: bool) -> redis.Redis:
	"""A cluster's, once it is made, knows where the slots are."""
	kind = redis.RedisCluster if is_cluster else redis.Redis
	return kind.from_url(url, decode_responses=True)


def srs_keys(pattern: str = "*") -> set[str]:
	"""Returns the keys of all nodes. (KEYS and DBSIZE ask only the first node of a cluster.)"""
	return set(srs_redis().scan_iter(match=pattern, count=1000))


def is_of_site(key: str) -> bool:
	"""Says whether a key is of no learner's."""
	return key.endswith(("srs:generation", "srs:generation}:owner"))


@lru_cache
def queue_redis() -> redis.Redis:
	"""The bench's, even while a test has another one used."""
	return redis.Redis.from_url(frappe.get_site_config()["redis_queue"])


def begin() -> None:
	try:
		frappe.db.rollback()
	except failures.ERRORS:  # MariaDB has ended the connection; the next test needs one
		frappe.connect()
	frappe.set_user("Administrator")
	frappe.clear_messages()


def remove_what_a_test_made() -> None:
	begin()
	incidents._counts.clear()  # which the next test would find in an incident of its own
	_restore_configuration()
	_delete_rows()
	_remove_seasons(keep=STANDING_SEASON)
	_restore_standing_season()
	frappe.db.commit()
	_empty_redis()


def empty_site() -> None:
	"""Empties the site, even of what a killed run of the tests has left behind."""
	begin()
	_delete_rows()
	for doctype in ("Game Question Option", "Game Question", "Game Topic", "Game Subject"):
		frappe.db.delete(doctype)
	_remove_seasons(keep=None)
	frappe.db.commit()
	drop_stray_partitions(keep=None)
	_empty_redis()
	settling.take_keys()  # whose they are depends on MariaDB's port, which may be another one today


def drop_stray_partitions(keep: str | None = STANDING_SEASON) -> None:
	"""Partitions of no season, and the tables that rows pass through on their way to the archive."""
	frappe.db.commit()
	for table in tables.list_staging():
		frappe.db.sql_ddl(f"DROP TABLE `{table}`")
	for doctype in tables.INDEXES:
		names = [p["name"] for p in tables.list_partitions(doctype) if p["season"] not in ("", keep)]
		frappe.db.commit()
		if names:
			frappe.db.sql_ddl(f"ALTER TABLE `tab{doctype}` DROP PARTITION {', '.join(names)}")


def _delete_rows() -> None:
	tables = [table for (table,) in frappe.db.sql(WHERE_ROWS_ARE_SQL)]
	if "tabFile" in tables:
		_delete_content_of_files()
	for table in tables:
		frappe.db.sql(f"DELETE FROM `{table}` WHERE {MADE_BY_TESTS[table]}")


def _delete_content_of_files() -> None:
	for url in frappe.get_all("File", filters={"is_folder": 0}, pluck="file_url", distinct=True):
		folder = "" if url.startswith("/private/") else "public"
		Path(frappe.get_site_path(folder, url.lstrip("/"))).unlink(missing_ok=True)


def _restore_configuration() -> None:
	"""Tests may point this process at other servers."""
	frappe.local.conf.clear()
	frappe.local.conf.update(frappe.get_site_config())
	settings.forget_settings()
	question_status.forget_changes()
	safe_mode.forget()
	frappe.clear_document_cache("Memora Settings", "Memora Settings")


def _remove_seasons(keep: str | None) -> None:
	if frappe.db.sql(OTHER_SEASONS_SQL, keep or ""):
		frappe.db.sql(DELETE_OTHER_SEASONS_SQL, keep or "")
		drop_stray_partitions(keep)


def _restore_standing_season() -> None:
	frappe.clear_document_cache("Game Subscription Season", STANDING_SEASON)
	dates = {"start": add_days(getdate(), -30), "end": add_days(getdate(), 300)}
	frappe.db.sql(STANDING_SEASON_SQL, {**dates, "name": STANDING_SEASON})


def _empty_redis() -> None:
	"""All but the workers' own records."""
	empty_schedules()
	queue = queue_redis()
	if keys := [key for key in queue.keys("*") if not key.startswith((b"rq:worker", b"rq:clean"))]:
		queue.delete(*keys)


def empty_schedules() -> None:
	"""All but the generation and the owner, which processes remember for a while."""
	if keys := {key for key in srs_keys() if not is_of_site(key)}:
		srs_redis().delete(*keys)
