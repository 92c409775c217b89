"""All that the tests' site holds, to compare before and after."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import frappe

from memora.services import memory_store, site_time
from tests.integration.cleaning import ANSWER_TABLES, queue_redis, srs_redis


def rows(doctype: str, **filters: Any) -> list[frappe._dict]:
	"""Committed rows of a table by name. Ends the connection's transaction."""
	frappe.db.rollback()
	return frappe.get_all(doctype, filters=filters, fields=["*"], order_by="name", limit=0)


def journal(player: str) -> list[frappe._dict]:
	return rows("Player Review Log", player=player)


def outbox(player: str) -> list[frappe._dict]:
	return rows("Review Outbox", player=player)


def tracker(player: str) -> dict[str, frappe._dict]:
	return {row.question_id: row for row in rows("Player Memory Tracker", player=player)}


def cached(player: str, season: str) -> dict[str, float]:
	"""The learner's schedule in Redis, read with a client of the tests' own."""
	return dict(srs_redis().zrange(f"srs:{player}:{season}", 0, -1, withscores=True))


def is_loaded(player: str, season: str) -> bool:
	"""Whether the schedule in Redis has its marker."""
	return bool(srs_redis().exists(marker_key(player, season)))


def marker_key(player: str, season: str) -> str:
	return f"{{srs:{player}:{season}}}:loaded"


def scores(player: str, season: str) -> dict[str, float]:
	"""What MariaDB and the outbox say of a schedule, as Redis would hold it."""
	frappe.db.rollback()
	records = memory_store.get_all_records(player, season)
	return {q: site_time.to_epoch(record.next_review_date) for q, record in records.items()}


def everything() -> dict[str, Any]:
	"""All answers, schedules and jobs of the site."""
	tables = {doctype: rows(doctype) for doctype in (*ANSWER_TABLES, "Game Subscription Season")}
	return {**tables, "srs": _content(srs_redis()), "jobs": sorted(queue_redis().keys("rq:job:*"))}


def _content(server) -> dict[str, Any]:
	def read(key: str) -> Any:
		return server.zrange(key, 0, -1, withscores=True) if server.type(key) == "zset" else server.get(key)

	return {key: read(key) for key in sorted(server.keys("*"))}


@contextmanager
def nothing_changes() -> Iterator[None]:
	before = everything()
	yield
	assert everything() == before
