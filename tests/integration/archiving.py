"""Seasons to archive, and where their rows are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import frappe
from frappe.utils import add_days, getdate

from memora.services.srs_archiver import SRSArchiver
from memora.services.store import swap
from memora.services.store.records import MemoryRecord
from tests.integration.connections import raw_connection
from tests.integration.factories import learner_id, make_records, make_season, make_waiting_submission

DOCTYPE = "Game Subscription Season"
TRACKER, ARCHIVE = "tabPlayer Memory Tracker", "tabArchived Memory Tracker"
PLAYERS = 4
WHAT_STAYS = (
	"name, player, question_id, subject, stability, reps, next_review_date, last_review_date, creation"
)

Row = tuple[Any, ...]


def make_ended_season(rows: int = 50, **overrides: Any) -> str:
	"""A season that is over, with so many rows of PLAYERS learners in the tracker."""
	dates = {"start_date": add_days(getdate(), -200), "end_date": add_days(getdate(), -1)}
	season = make_season(**{**dates, **overrides}).name
	make_rows(season, rows)
	return season


def make_rows(season: str, rows: int, first: int = 0) -> None:
	for player in range(PLAYERS):
		ids = [f"q-{first + number:06}" for number in range(player, rows, PLAYERS)]
		if ids:
			make_records(learner_id(f"past {player}"), season=season, question_ids=ids)


def put_back(season: str) -> None:
	"""Undoes archiving."""
	_move_rows(season, "Archived Memory Tracker", "Player Memory Tracker")
	nothing = dict.fromkeys(("archived_at", "archive_started_at", "archive_status"))
	frappe.db.set_value(
		"Game Subscription Season", season, {**nothing, "archived_records": 0, "archive_step": 0}
	)
	frappe.db.commit()


def move_to_archive(season: str) -> None:
	"""Quicker than archiving it."""
	_move_rows(season, "Player Memory Tracker", "Archived Memory Tracker")


def _move_rows(season: str, source: str, target: str) -> None:
	columns = ", ".join(f"`{c}`" for c in frappe.db.get_table_columns("Player Memory Tracker"))
	frappe.db.sql(
		f"INSERT INTO `tab{target}` ({columns}) SELECT {columns} FROM `tab{source}` WHERE season = %s",
		(season,),
	)
	frappe.db.delete(source, {"season": season})
	frappe.db.commit()


def rows_by_table(season: str) -> dict[str, list[Row]]:
	"""Returns a season's rows in tracker, staging table and archive. A table without rows is left out."""
	staging = swap.find_staging(season)
	with raw_connection() as connection, connection.cursor() as cursor:
		tables = [TRACKER, ARCHIVE]
		if cursor.execute("SHOW TABLES LIKE %s", (staging.replace("_", r"\_"),)):
			tables.append(staging)
		found = {}
		for table in tables:
			cursor.execute(f"SELECT {WHAT_STAYS} FROM `{table}` WHERE season = %s ORDER BY name", (season,))
			found[table] = list(cursor.fetchall())
	return {table: rows for table, rows in found.items() if rows}


def all_rows(season: str) -> list[Row]:
	"""Returns a season's rows of all three tables, by name. A row that is in two tables is returned twice."""
	return sorted(row for rows in rows_by_table(season).values() for row in rows)


def stored(season: str) -> frappe._dict:
	"""The season's row as committed."""
	frappe.db.rollback()
	return frappe.db.get_value("Game Subscription Season", season, "*", as_dict=True)


@contextmanager
def drifted_columns() -> Iterator[None]:
	"""The archive's columns in another order than the tracker's, as later migrations may leave them."""
	frappe.db.commit()
	frappe.db.sql_ddl(f"ALTER TABLE `{ARCHIVE}` MODIFY COLUMN archived_at datetime(6) AFTER season")
	try:
		yield
	finally:
		frappe.db.rollback()
		frappe.db.sql_ddl(
			f"ALTER TABLE `{ARCHIVE}` MODIFY COLUMN archived_at datetime(6) AFTER last_review_date"
		)


def deactivate(season: str) -> None:
	frappe.db.commit()
	document = frappe.get_doc(DOCTYPE, season)
	document.is_active = 0
	document.save()
	frappe.db.commit()


def make_late_submission(season: str, *records: MemoryRecord) -> str:
	"""An outbox row of a season that is over: written while it was active, and not folded since."""
	frappe.db.set_value(DOCTYPE, season, "is_active", 1)
	name = make_waiting_submission(learner_id("past 0"), season, *records)
	frappe.db.set_value(DOCTYPE, season, "is_active", 0)
	frappe.db.commit()
	return name


def refusal(archiver: SRSArchiver, season: str) -> str:
	result = archiver.archive_season(season)
	error = result.pop("error")
	assert result == {"success": False, "archived_count": 0, "season": season}
	return error
