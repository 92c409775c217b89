"""Reads the whole schedules of many learners from MariaDB, and the learners of a season."""

import json
import random
from collections.abc import Sequence
from itertools import chain

import frappe

from memora.services.store import row_names, tracker
from memora.services.store.question_status import IS_LIVE_SQL, JOIN_SQL

LEARNERS_SQL = """
	SELECT player, COUNT(*) FROM `tabPlayer Memory Tracker`
	WHERE season = %(season)s AND player > %(after)s GROUP BY player ORDER BY player LIMIT %(limit)s"""
LEARNER_AT_SQL = """
	SELECT COALESCE(
		(SELECT LEFT(name, 16) FROM `tabPlayer Memory Tracker` WHERE season = %s AND name >= %s ORDER BY name LIMIT 1),
		(SELECT LEFT(name, 16) FROM `tabPlayer Memory Tracker` WHERE season = %s ORDER BY name LIMIT 1))"""
MANY_RECORDS = 2000  # of one learner: more would reach group_concat_max_len, where MariaDB would cut the row
# One row for each learner; NULL in place of too many records.
SCHEDULE_SQL = f"""
	SELECT %s, IF(COUNT(*) > {MANY_RECORDS}, NULL, JSON_ARRAYAGG(JSON_ARRAY(t.question_id, t.next_review_date)))
	FROM `tabPlayer Memory Tracker` t {JOIN_SQL}
	WHERE t.season = %s AND t.name BETWEEN %s AND %s AND {IS_LIVE_SQL}"""
WAITING_LEARNERS_SQL = (
	"SELECT DISTINCT LEFT(name, 16) FROM `tabReview Outbox` WHERE season = %s AND ({ranges})"
)


def get_learners(season: str, after: str = "", limit: int = 1000) -> list[tuple[str, int]]:
	"""Returns (learner, number of records) of the next learners after `after`, in alphabetical order.

	Counts the tracker's records, in a scan of an index.
	"""
	values = {"season": season, "after": after, "limit": limit}
	return list(frappe.db.sql(LEARNERS_SQL, values))


def pick_learners(season: str, how_many: int) -> set[str]:
	"""Returns at most `how_many` learners of a season, drawn at random.

	Each learner costs one lookup in the primary key. Names begin with a hash of the learner, so a random
	place in the key is a random learner.
	"""
	places = [v for _ in range(how_many) for v in (season, f"{random.getrandbits(64):016x}", season)]
	rows = frappe.db.sql(" UNION ALL ".join([LEARNER_AT_SQL] * how_many), places)
	return {learner for (learner,) in rows if learner}


def get_schedules(season: str, learners: Sequence[str]) -> dict[str, dict[str, str]]:
	"""Returns whole schedules, {learner: {question_id: next_review_date as ISO text}}, outboxes included.

	What the question source has withdrawn is left out.

	Takes two queries, and one more for each learner whose answers wait to be folded or who has more than
	MANY_RECORDS records.
	"""
	if not learners:
		return {}
	bounds = _bounds(learners)
	waiting = get_waiting_learners(season, learners)
	statement = " UNION ALL ".join([SCHEDULE_SQL] * len(bounds))
	values = [value for learner, pair in bounds.items() for value in (learner, season, *pair)]
	return {
		learner: _schedule(learner, season)
		if learner in waiting or payload is None
		else dict(json.loads(payload or "[]"))
		for learner, payload in frappe.db.sql(statement, values)
	}


def get_waiting_learners(season: str, learners: Sequence[str]) -> set[str]:
	"""Returns those of these learners, of whom there must be one, whose answers wait in the outbox; one query."""
	bounds = _bounds(learners)
	statement = WAITING_LEARNERS_SQL.format(ranges=" OR ".join(["name BETWEEN %s AND %s"] * len(bounds)))
	values = (season, *chain.from_iterable(bounds.values()))
	return {learner for (learner,) in frappe.db.sql(statement, values)}


def _bounds(learners: Sequence[str]) -> dict[str, tuple[str, ...]]:
	return {learner: tuple(row_names.bounds(learner).values()) for learner in learners}


def _schedule(learner: str, season: str) -> dict[str, str]:
	return {q: due.isoformat(" ") for q, due in tracker.get_dates(learner, season).items()}
