"""A learner's records in the seasons that a season carries on from: in the tracker, on their way to the archive, or there."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import frappe

from memora.services.store import database, failures, row_names, swap
from memora.services.store.records import MemoryRecord, overlay
from memora.services.store.tracker import STORED_RECORDS_JSON

# For each season three rows at most, which begin with the season: what the archive holds, what the tracker holds, and her
# outbox.
OF_SEASON_SQL = f"""
	SELECT %s, {STORED_RECORDS_JSON} FROM `tabArchived Memory Tracker` WHERE season = %s AND name IN %s
	UNION ALL SELECT %s, {STORED_RECORDS_JSON} FROM `tabPlayer Memory Tracker` WHERE season = %s AND name IN %s
	UNION ALL SELECT season, payload FROM `tabReview Outbox` WHERE season = %s AND name BETWEEN %s AND %s"""
# The seasons whose rows may be on their way at the moment
MOVING = "moving"
MOVING_SQL = f"""
	SELECT name, '{MOVING}' FROM `tabGame Subscription Season`
	WHERE name IN %s AND archive_started_at IS NOT NULL AND archived_at IS NULL"""
STAGED_SQL = f"SELECT {STORED_RECORDS_JSON} FROM `%(table)s` WHERE name IN %%(names)s"

Rows = dict[str, list[tuple[str | None]]]  # by season


def get_earlier(learner: str, seasons: Sequence[str], question_ids: Sequence[str]) -> dict[str, MemoryRecord]:
	"""Returns {question_id: record} of the questions that she knows from one of these seasons; from the first that does.

	One query, unless one of the seasons is being archived.
	"""
	rows, moving = _look(learner, seasons, question_ids)
	for season in moving:
		rows[season] += _on_their_way(learner, season, question_ids)
	found: dict[str, MemoryRecord] = {}
	for season in seasons:
		found = overlay(rows[season]) | found
	return {question_id: found[question_id] for question_id in question_ids if question_id in found}


def _look(learner: str, seasons: Iterable[str], question_ids: Sequence[str]) -> tuple[Rows, list[str]]:
	"""Returns (payloads by season, the seasons that are being archived)."""
	values: list[object] = []
	for season in seasons:
		names = _names(learner, season, question_ids)
		values += [*(season, season, names) * 2, season, *row_names.names_of_learner(learner)]
	statement = " UNION ALL ".join([*[OF_SEASON_SQL for _season in seasons], MOVING_SQL])
	rows: Rows = defaultdict(list)
	moving = []
	for season, payload in frappe.db.sql(statement, [*values, [*seasons]]):
		if payload == MOVING:
			moving.append(season)
		else:
			rows[season].append((payload,))
	return rows, moving


def _on_their_way(learner: str, season: str, question_ids: Sequence[str]) -> list[tuple[str | None]]:
	"""Returns the payloads of a season that is being archived."""
	statement = STAGED_SQL % {"table": swap.find_staging(season)}
	try:
		return list(frappe.db.sql(statement, {"names": _names(learner, season, question_ids)}))
	except failures.ERRORS as error:
		if failures.number_of(error) != failures.TABLE_MISSING:
			raise
	database.new_snapshot()  # the run has not come so far, or the rows have arrived meanwhile
	return _look(learner, [season], question_ids)[0][season]


def _names(learner: str, season: str, question_ids: Sequence[str]) -> list[str]:
	return [row_names.tracker_name(learner, season, question_id) for question_id in question_ids]
