"""TODO"""

import json
import random
from collections.abc import Sequence
from itertools import chain

import frappe

from memora.services.store import row_names, tracker

# Whole schedules of several learners, a row a learner.
LEARNERS_SQL = """
	SELECT player, COUNT(*) FROM `tabPlayer Memory Tracker`
	WHERE season = %(season)s AND player > %(after)s GROUP BY player ORDER BY player LIMIT %(limit)s"""
LEARNER_AT_SQL = """
	SELECT COALESCE(
		(SELECT player FROM `tabPlayer Memory Tracker` WHERE season = %s AND name >= %s ORDER BY name LIMIT 1),
		(SELECT player FROM `tabPlayer Memory Tracker` WHERE season = %s ORDER BY name LIMIT 1))"""
MANY_RECORDS = 2000  # of one learner: group_concat_max_len would cut more
SCHEDULE_SQL = f"""
	SELECT %s, IF(COUNT(*) > {MANY_RECORDS}, NULL, JSON_ARRAYAGG(JSON_ARRAY(question_id, next_review_date)))
	FROM `tabPlayer Memory Tracker` WHERE season = %s AND name BETWEEN %s AND %s"""
WAITING_LEARNERS_SQL = "SELECT DISTINCT player FROM `tabReview Outbox` WHERE season = %s AND ({ranges})"


def get_learners(season: str, after: str = "", limit: int = 1000) -> list[tuple[str, int]]:
	"""The next learners of a season by name, and how many records each has in the tracker; an index scan."""
	values = {"season": season, "after": after, "limit": limit}
	return list(frappe.db.sql(LEARNERS_SQL, values))


def pick_learners(season: str, how_many: int) -> set[str]:
	"""At most so many learners of a season, drawn at random; each costs one lookup in the primary key.

	Names begin with a hash of the learner, so a random place in the key is a random learner.
	"""
	places = [v for _ in range(how_many) for v in (season, f"{random.getrandbits(64):016x}", season)]
	rows = frappe.db.sql(" UNION ALL ".join([LEARNER_AT_SQL] * how_many), places)
	return {learner for (learner,) in rows if learner}


def get_schedules(season: str, learners: Sequence[str]) -> dict[str, dict[str, str]]:
	"""Whole schedules, {learner: {question_id: next_review_date as ISO text}}, tracker overlaid with outbox.

	Two queries, and one for each learner of whom answers wait to be folded.
	"""
	if not learners:
		return {}
	bounds = {learner: tuple(row_names.bounds(row_names.digest(learner)).values()) for learner in learners}
	ranges = " OR ".join(["name BETWEEN %s AND %s"] * len(bounds))
	statement = WAITING_LEARNERS_SQL.format(ranges=ranges)
	waiting = {p for (p,) in frappe.db.sql(statement, (season, *chain.from_iterable(bounds.values())))}
	statement = " UNION ALL ".join([SCHEDULE_SQL] * len(bounds))
	values = [value for learner, pair in bounds.items() for value in (learner, season, *pair)]
	return {
		learner: _schedule(learner, season)
		if learner in waiting or payload is None
		else dict(json.loads(payload))
		for learner, payload in frappe.db.sql(statement, values)
	}


def _schedule(learner: str, season: str) -> dict[str, str]:
	records = tracker.get_all_records(learner, season)
	return {q: record.next_review_date.isoformat(" ") for q, record in records.items()}
