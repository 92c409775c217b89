"""Removes what tests made, from MariaDB and both Redis. Nothing but the tests' own site is touched."""

from functools import lru_cache
from pathlib import Path

import frappe
import redis
from frappe.utils import add_days, getdate

from memora.services import incidents, partition_manager, safe_mode, settings
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
	"""Of all its nodes. (KEYS and DBSIZE ask a cluster's first one alone.)"""
	return set(srs_redis().scan_iter(match=pattern, count=1000))


def queue_redis() -> redis.Redis:
	return redis.Redis.from_url(frappe.get_site_config()["redis_queue"])


def begin() -> None:
	frappe.db.rollback()
	frappe.set_user("Administrator")
	frappe.clear_messages()


def remove_what_a_test_made() -> None:
	begin()
	incidents.write_counts()  # which the next test would find in an incident of its own
	_restore_configuration()
	_delete_rows()
	_remove_seasons(keep=STANDING_SEASON)
	_restore_standing_season()
	frappe.db.commit()
	_empty_redis()


def empty_site() -> None:
	"""Also what an earlier run left behind that was killed."""
	begin()
	_delete_rows()
	for doctype in ("Game Question Option", "Game Question", "Game Topic", "Game Subject"):
		frappe.db.delete(doctype)
	_remove_seasons(keep=None)
	frappe.db.commit()
	drop_stray_partitions(keep=None)
	_empty_redis()


def drop_stray_partitions(keep: str | None = STANDING_SEASON) -> None:
	"""Partitions of no season, and the tables that rows pass through on their way to the archive."""
	frappe.db.commit()
	for (table,) in frappe.db.sql("SHOW TABLES LIKE 'srs\\_staging\\_%'"):
		frappe.db.sql_ddl(f"DROP TABLE `{table}`")
	for doctype in partition_manager.INDEXES:
		names = [
			p["name"] for p in partition_manager.list_partitions(doctype) if p["season"] not in ("", keep)
		]
		frappe.db.commit()
		if names:
			frappe.db.sql_ddl(f"ALTER TABLE `tab{doctype}` DROP PARTITION {', '.join(names)}")


def _delete_rows() -> None:
	for doctype in (*ANSWER_TABLES, *FIGURES, *LOG_TABLES, *IMPORT_TABLES):
		frappe.db.delete(doctype)
	_delete_files()
	users = frappe.get_all("User", filters={"name": ("like", f"%@{DOMAIN}")}, pluck="name")
	if users:
		frappe.db.delete("Has Role", {"parent": ("in", users)})
		frappe.db.delete("User", {"name": ("in", users)})
		frappe.db.delete("Notification Settings", {"name": ("in", users)})
		frappe.db.delete("__Auth", {"name": ("in", users)})
		frappe.db.delete("Sessions", {"user": ("in", users)})
	frappe.db.delete("Game Question Option", {"parent": ("not like", "bank-%")})
	frappe.db.delete("Game Question", {"name": ("not like", "bank-%")})
	frappe.db.delete("Game Topic", {"subject": ("not in", list(BANK))})
	frappe.db.delete("Game Subject", {"name": ("not in", list(BANK))})
	frappe.db.delete("Comment", {"reference_doctype": "Game Subscription Season"})
	frappe.db.delete("Singles", {"doctype": ("in", ("Memora Settings", "Memora Health"))})


def _delete_files() -> None:
	for url in frappe.get_all("File", filters={"is_folder": 0}, pluck="file_url", distinct=True):
		folder = "" if url.startswith("/private/") else "public"
		Path(frappe.get_site_path(folder, url.lstrip("/"))).unlink(missing_ok=True)
	frappe.db.delete("File", {"is_folder": 0})
	frappe.db.delete("Comment", {"comment_type": "Attachment"})


def _restore_configuration() -> None:
	"""Tests may point this process at other servers."""
	frappe.local.conf.clear()
	frappe.local.conf.update(frappe.get_site_config())
	settings.forget_settings()
	safe_mode.forget()
	frappe.clear_document_cache("Memora Settings", "Memora Settings")


def _remove_seasons(keep: str | None) -> None:
	names = frappe.get_all("Game Subscription Season", filters={"name": ("!=", keep or "")}, pluck="name")
	if names:
		frappe.db.delete("Game Subscription Season", {"name": ("in", names)})
		drop_stray_partitions(keep)


def _restore_standing_season() -> None:
	values = {
		"is_active": 1,
		"enable_redis": 1,
		"auto_archive": 0,
		"archived_at": None,
		"archived_records": 0,
		"archive_started_at": None,
		"archive_status": None,
		"archive_step": 0,
		"jobs": None,
		"partition_created": 1,
		"start_date": add_days(getdate(), -30),
		"end_date": add_days(getdate(), 300),
	}
	frappe.db.set_value("Game Subscription Season", STANDING_SEASON, values, update_modified=False)


def _empty_redis() -> None:
	"""All but the workers' own records."""
	empty_schedules()
	queue = queue_redis()
	for key in queue.keys("*"):
		if not key.startswith((b"rq:worker", b"rq:clean")):
			queue.delete(key)


def empty_schedules() -> None:
	"""All but the generation, which processes remember for a while."""
	server = srs_redis()
	for key in srs_keys():
		if not key.endswith("srs:generation"):
			server.delete(key)
