"""The journal: every answer, and every result that another program has stored, with the state of the record that it led to.

Rows are added and never changed. The journal is the truth: records can be computed again from the journal.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby

import frappe

from memora.services.store import database, row_names, tables
from memora.services.store.records import JOURNAL_COLUMNS, JournalEntry, StoredAnswer, values_of
from memora.services.store.row_names import NAME_LENGTH

DOCTYPE = "Player Review Log"
PAGE_ROWS = 5000  # read at a time, some MB
SEASONS_SEARCHED = 20  # the latest, in which a submission that is sent again may have been stored
COUNTED_ROWS = 500_000  # by one statement, in some tenths of a second
INSERT_SQL = f"""
	INSERT INTO `tabPlayer Review Log` (name, player, season, submission_id, creation, {JOURNAL_COLUMNS}) VALUES """
PAGE_SQL = f"""
	SELECT name, LEFT(name, 16), {JOURNAL_COLUMNS} FROM `tabPlayer Review Log`
	WHERE season = %(season)s AND name > %(after)s AND name <= %(last)s ORDER BY name LIMIT %(limit)s"""
OF_SUBMISSION_SQL = """
	SELECT season, question_id, quality, kind = 'Practice', next_review_date_after, reviewed_at, graded_by, chosen
	FROM `tabPlayer Review Log`
	WHERE season = %s AND name BETWEEN %s AND %s"""
# Beside the answers the statement says which seasons there are, in a row without a season.
LATEST_SQL = (
	f"SELECT name FROM `tabGame Subscription Season` ORDER BY end_date DESC, name LIMIT {SEASONS_SEARCHED}"
)
SEASONS_SQL = f"""
	SELECT NULL, JSON_ARRAYAGG(name), 0, 0, NULL, NULL, NULL, NULL FROM ({LATEST_SQL}) AS latest"""
HISTORY_SQL = f"""
	SELECT name, {JOURNAL_COLUMNS} FROM `tabPlayer Review Log`
	WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s AND question_id = %(question_id)s
	ORDER BY reviewed_at DESC, name LIMIT %(limit)s"""
COUNT_ANSWERS_SQL = """
	SELECT COUNT(*) FROM `tabPlayer Review Log` WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s"""
COUNT_SHARE_SQL = """
	SELECT COUNT(*) FROM `tabPlayer Review Log` WHERE season = %(season)s AND name >= %(first)s AND name < %(last)s"""
IS_JOURNALLED_SQL = """
	SELECT 1 FROM `tabPlayer Review Log` WHERE season IN %(seasons)s AND name BETWEEN %(first)s AND %(last)s LIMIT 1"""

_seasons: dict[str, set[str]] = {}  # by site: the seasons there were when this process last looked


def insert(
	key: str, learner: str, season: str, submission_id: str, entries: Iterable[JournalEntry], now: datetime
) -> None:
	"""Adds a submission's answers in one statement. `key` is the submission's key. The caller commits."""
	rows = [
		(key + row_names.digest(entry.question_id), learner, season, submission_id, now, *values_of(entry))
		for entry in entries
	]
	database.insert(INSERT_SQL, rows)


def find_submission(
	learner: str, submission_id: str, likely: Iterable[str]
) -> tuple[str, dict[str, StoredAnswer]] | None:
	"""Returns (season, {question_id: answer}) of a submission that is stored, in whatever season; else None.

	One query, and a second one where seasons have come since this process last looked. `likely` are seasons to
	look into, too.
	"""
	known = _seasons.get(frappe.local.site, set()) | {*likely}
	found, present = _look_for(learner, submission_id, known)
	_seasons[frappe.local.site] = present
	if not found and present - known:
		found, _present = _look_for(learner, submission_id, present - known)
	return next(iter(found.items()), None)


def _look_for(
	learner: str, submission_id: str, seasons: Iterable[str]
) -> tuple[dict[str, dict[str, StoredAnswer]], set[str]]:
	"""Returns ({season: {question_id: answer}} of the submission's answers in these seasons, the seasons there are)."""
	values: list[str] = []
	for season in seasons:
		key = row_names.submission_key(learner, season, submission_id)
		values += [season, *row_names.bounds(key).values()]
	statement = " UNION ALL ".join([OF_SUBMISSION_SQL] * (len(values) // 3) + [SEASONS_SQL])
	*rows, (_season, present, *_none) = frappe.db.sql(statement, values)
	found: dict[str, dict[str, StoredAnswer]] = defaultdict(dict)
	for season, question_id, quality, practice, *more in rows:
		found[season][question_id] = StoredAnswer(quality, bool(practice), *more)
	return found, set(json.loads(present or "[]"))


def get_history(learner: str, season: str, question_id: str, limit: int) -> list[tuple[str, JournalEntry]]:
	"""Returns (name, answer) of a learner's last answers to one question, the newest first.

	Reads all of her rows in the season, by the journal's primary key.
	"""
	values = row_names.of_learner(learner, season, question_id=question_id, limit=limit)
	return [(name, JournalEntry(*fields_)) for name, *fields_ in frappe.db.sql(HISTORY_SQL, values)]


def count_answers(season: str, name: str) -> int:
	"""Returns how many answers the submission of a row of the journal has."""
	values = {"season": season, **row_names.bounds(row_names.key_of_entry(name))}
	((count,),) = frappe.db.sql(COUNT_ANSWERS_SQL, values)
	return count


def count_rows(season: str, exact_up_to: int | None = None) -> int:
	"""Returns how many rows the season has. Reads all of them, in bounded statements.

	With `exact_up_to` reads none of a larger season, and returns InnoDB's estimate by its first two digits.
	"""
	estimate = tables.estimate_rows(DOCTYPE, season)
	if exact_up_to is not None and estimate > exact_up_to:
		return tables.rounded(estimate)
	how_many = estimate // COUNTED_ROWS + 1
	count = 0
	for share in row_names.shares(how_many):
		((of_share,),) = database.query(COUNT_SHARE_SQL, {"season": season, **share})
		count += of_share
	return count


def iterate_journal(season: str, learner: str | None = None) -> Iterator[tuple[str, JournalEntry]]:
	"""Yields (learner, answer) of a season. `learner` limits this to one learner.

	The answers of a learner come one after the other, in no order of time.
	"""
	first = row_names.names_of_learner(learner)[0] if learner else ""
	after, last = first, (first or "f" * NAME_LENGTH) + "g"
	while True:
		database.new_snapshot()  # a long transaction would keep partitions from being made
		values = {"season": season, "after": after, "last": last, "limit": PAGE_ROWS}
		rows = frappe.db.sql(PAGE_SQL, values)
		yield from ((learner_of_row, JournalEntry(*fields_)) for _name, learner_of_row, *fields_ in rows)
		if len(rows) < PAGE_ROWS:
			return
		after = rows[-1][0]


def is_journalled(key: str) -> bool:
	"""Says whether the journal holds a submission of this key, in one of the latest seasons. Costs a lookup in each of these."""
	latest = [name for (name,) in frappe.db.sql(LATEST_SQL)]
	return bool(frappe.db.sql(IS_JOURNALLED_SQL, {"seasons": latest or [""], **row_names.bounds(key)}))


def journal_by_learner(season: str, learner: str | None = None) -> Iterator[tuple[str, list[JournalEntry]]]:
	"""Yields (learner, her answers in a season), in no order of time.

	`learner` limits this to one learner.
	"""
	rows = iterate_journal(season, learner)
	for name, group in groupby(rows, key=lambda row: row[0]):
		yield name, [entry for _learner, entry in group]
