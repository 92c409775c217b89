"""All that the tests' site holds, to compare before and after."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import frappe

from memora.services import site_time
from memora.services.cache.gateway import Gateway
from memora.services.learning import reviews
from memora.services.settings import get_settings
from memora.services.store import tracker as tracker_store
from memora.services.store.figure_tables import Counts
from memora.services.store.records import unpack_activity
from tests.integration.cleaning import ANSWER_TABLES, FIGURES, queue_redis, srs_keys, srs_redis

ACTIVITY_SQL = """
	SELECT CAST(d.day AS char), s.subject, s.answers, s.reviews, s.recalled, s.graded_reviews, s.graded_recalled
	FROM `tabDaily Activity Subject` s LEFT JOIN `tabDaily Activity` d ON d.name = s.parent
	UNION ALL SELECT CAST(day AS char), subject, answers, reviews, recalled, graded_reviews, graded_recalled
	FROM `tabActivity Count`"""
WAITING_ACTIVITY_SQL = "SELECT activity FROM `tabReview Outbox`"

Figures = dict[tuple[str, str], Counts]  # by learning day as ISO text, and subject


def rows(doctype: str, **filters: Any) -> list[frappe._dict]:
	"""Returns a DocType's committed rows whose columns have these values, by name. Ends the transaction.

	By plain SQL, which takes a fifth of the time of `frappe.get_all`.
	"""
	frappe.db.rollback()
	where = " AND ".join(f"`{column}` <=> %({column})s" for column in filters) or "1"
	sql = f"SELECT * FROM `tab{doctype}` WHERE {where} ORDER BY name"
	return frappe.db.sql(sql, filters, as_dict=True)


def journal(player: str) -> list[frappe._dict]:
	return rows("Player Review Log", player=player)


def outbox(player: str) -> list[frappe._dict]:
	return rows("Review Outbox", player=player)


def tracker(player: str) -> dict[str, frappe._dict]:
	return {row.question_id: row for row in rows("Player Memory Tracker", player=player)}


def activity(with_outbox: bool = False) -> Figures:
	"""Returns the figures of Daily Activity and of the folds since its last sum, and of the outbox if asked to."""
	frappe.db.rollback()
	found = list(frappe.db.sql(ACTIVITY_SQL))
	assert None not in {day for day, *_figures in found}, "a row of a subject belongs to no day"
	if with_outbox:
		found += [c for (packed,) in frappe.db.sql(WAITING_ACTIVITY_SQL) for c in unpack_activity(packed)]
	return _added(found)


def journalled_activity() -> Figures:
	"""Returns the figures that the journal leads to, answer by answer."""
	hour = timedelta(hours=get_settings().day_start_hour)
	subjects = dict(frappe.get_all("Game Question", fields=["name", "subject"], as_list=True))
	return _added(
		(
			str((row.reviewed_at - hour).date()),
			subjects.get(row.question_id, ""),
			1,
			int(row.kind == "Review"),
			int(row.kind == "Review" and row.rating != "Again"),
			int(row.kind == "Review" and row.graded_by == "Server"),
			int(row.kind == "Review" and row.rating != "Again" and row.graded_by == "Server"),
		)
		for row in rows("Player Review Log")
	)


def _added(counted: Iterable[tuple]) -> Figures:
	figures: dict[tuple[str, str], list[int]] = {}
	for day, subject, *numbers in counted:
		before = figures.get((day, subject), [0] * len(Counts._fields))
		figures[day, subject] = [a + b for a, b in zip(before, numbers, strict=True)]
	return {key: Counts(*numbers) for key, numbers in figures.items()}


def cached(player: str, season: str) -> dict[str, float]:
	"""The learner's schedule in Redis, read with a client of the tests' own."""
	return dict(srs_redis().zrange(f"srs:{player}:{season}", 0, -1, withscores=True))


def is_loaded(player: str, season: str) -> bool:
	"""Says whether the schedule in Redis has its marker."""
	return bool(srs_redis().exists(marker_key(player, season)))


def marker_key(player: str, season: str) -> str:
	return f"{{srs:{player}:{season}}}:loaded"


def scores(player: str, season: str) -> dict[str, float]:
	"""Returns a schedule by MariaDB and the outbox, as Redis would hold it."""
	frappe.db.rollback()
	return {q: site_time.to_epoch(due) for q, due in tracker_store.get_dates(player, season).items()}


def everything() -> dict[str, Any]:
	"""All answers, schedules and jobs of the site."""
	tables = {doctype: rows(doctype) for doctype in (*ANSWER_TABLES, *FIGURES, "Game Subscription Season")}
	return {**tables, "srs": _content(srs_redis()), "jobs": queued_jobs()}


def queued_jobs() -> dict[str, list[str]]:
	"""Ids of the jobs that wait, by queue."""
	server = queue_redis()
	queues = [key for key in server.keys("rq:queue:*") if server.type(key) == b"list"]
	return {key.decode(): [job.decode() for job in server.lrange(key, 0, -1)] for key in queues}


def _content(server) -> dict[str, Any]:
	def read(key: str) -> Any:
		return server.zrange(key, 0, -1, withscores=True) if server.type(key) == "zset" else server.get(key)

	return {key: read(key) for key in sorted(srs_keys()) if not key.endswith("owner")}


@contextmanager
def nothing_changes() -> Iterator[None]:
	before = everything()
	yield
	assert everything() == before


def assert_agreement(player: str, season: str) -> None:
	"""Journal, tracker and cache say the same."""
	moving = [row for row in journal(player) if row.kind != "Practice"]
	newest = {row.question_id: row for row in sorted(moving, key=lambda r: r.reviewed_at)}
	stored = tracker(player)
	assert stored.keys() >= newest.keys()
	for question_id, row in newest.items():
		assert stored[question_id].next_review_date == row.next_review_date_after
		assert stored[question_id].stability == row.stability_after
		assert stored[question_id].last_review_date == row.reviewed_at
	reviews.read_reviews(player)
	assert cached(player, season) == scores(player, season)


def generation() -> str:
	"""Returns what the marker of a schedule must hold for the schedule to be believed now."""
	client = srs_redis()
	history = client.info("replication")["master_replid"][:12]
	database = Gateway().database().digest
	return f"{history}.{history}.{client.get('srs:generation') or 0}.{database}"


def rows_of_table(table: str) -> list[str]:
	"""Returns the names of all rows of a table of no DocType."""
	frappe.db.rollback()
	return [name for (name,) in frappe.db.sql(f"SELECT name FROM `{table}` ORDER BY name")]
