"""What MariaDB thinks of the tables after a season's rows were swapped into the archive: estimates and plans follow at once."""

from typing import Any

import frappe

from memora.services.store import tables
from tests.integration.archiving import PLAYERS, make_ended_season
from tests.integration.factories import learner_id

ROWS = 2000
HERS_SQL = (
	"EXPLAIN SELECT question_id FROM `{0}` WHERE player = %s AND season = %s AND next_review_date < NOW()"
)
ALL_SQL = "EXPLAIN SELECT COUNT(player) FROM `{0}` WHERE season = %s"
TRACKER, ARCHIVE = "Player Memory Tracker", "Archived Memory Tracker"


def plan(statement: str, *values: Any) -> tuple[str, int]:
	"""(index, rows that MariaDB expects to look at)."""
	(row,) = frappe.db.sql(statement, values, as_dict=True)
	frappe.db.rollback()
	return row["key"], int(row["rows"])


def rows_thought_of(season: str) -> dict[str, int]:
	return {doctype: tables.estimate_rows(doctype, season) for doctype in (TRACKER, ARCHIVE)}


def test_estimates_and_plans_follow_the_rows(archiver):
	season, player = make_ended_season(ROWS), learner_id("past 0")
	frappe.db.commit()
	frappe.db.sql_ddl(
		f"ALTER TABLE `tab{TRACKER}` ANALYZE PARTITION {tables.partition_name(season)}"
	)  # as InnoDB does some time after many inserts
	before = rows_thought_of(season)
	assert ROWS / 2 < before[TRACKER] < ROWS * 2
	assert before[ARCHIVE] == 0
	hers = plan(HERS_SQL.format(f"tab{TRACKER}"), player, season)
	assert hers[0] == "schedule"
	assert archiver.archive_season(season)["success"]
	after = rows_thought_of(season)
	assert after[TRACKER] == 0
	assert ROWS / 2 < after[ARCHIVE] < ROWS * 2
	assert plan(ALL_SQL.format(f"tab{TRACKER}"), season)[1] < 10
	assert plan(ALL_SQL.format(f"tab{ARCHIVE}"), season)[1] > ROWS / 2
	index, rows = plan(HERS_SQL.format(f"tab{ARCHIVE}"), player, season)
	assert index == "schedule"
	assert ROWS / PLAYERS / 2 <= rows <= ROWS / PLAYERS * 2
