"""A season that was archived long ago is flagged as a whole: archive, answers and figures go when somebody confirms it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import frappe
import pytest

from memora.services import srs_archiver
from memora.services.operations import retention
from memora.services.srs_archiver import SRSArchiver
from memora.services.store import journal, partitions, season_figures, seasons, tables
from tests.integration import dying_archiver, state
from tests.integration.cleaning import FIGURES
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.dying_archiver import DyingArchiver
from tests.integration.factories import make_learner, make_season, site_now
from tests.integration.test_retention import DOCTYPE, LONG_AGO, NOT_LONG_ENOUGH, archived, comments
from tests.integration.test_retention import make_archived_season as make_archived

ANSWERS, DAYS = 30, 120
ANSWER_SQL = """
	INSERT INTO `tabPlayer Review Log` (name, player, season, question_id, submission_id, kind, rating, reviewed_at, creation)
	VALUES (%s, %s, %s, %s, 'old', 'Review', 'Good', %s, %s)"""
DAY_SQL = "INSERT INTO `tabDaily Activity` (name, season, day, answers) VALUES (%s, %s, %s, 1)"
SUBJECT_SQL = "INSERT INTO `tabDaily Activity Subject` (name, parent, parenttype, parentfield, answers) VALUES (%s, %s, %s, 'subjects', 1)"
COUNT_SQL = "INSERT INTO `tabActivity Count` (name, season, day, answers) VALUES (%s, %s, %s, 1)"
LEARNER_SQL = "INSERT INTO `tabDaily Learner` (name, season, day, player) VALUES (%s, %s, %s, %s)"
FORECAST_SQL = "INSERT INTO `tabDue Forecast` (name, season) VALUES (%s, %s)"
FORECAST_DAY_SQL = (
	"INSERT INTO `tabDue Forecast Day` (name, parent, parenttype, records) VALUES (%s, %s, 'Due Forecast', 1)"
)
ALL = {
	"Archived Memory Tracker": 8,
	"Player Review Log": ANSWERS,
	"Daily Activity": DAYS,
	"Activity Count": 1,
	"Daily Learner": 1,
	"Due Forecast": 1,
}


def make_old(ago: timedelta = LONG_AGO, **values: Any) -> str:
	"""An archived season with rows in the archive, in the journal and in all figures."""
	season = make_archived(8)
	add_answers(season)
	add_figures(season)
	archived_at = site_now() - ago
	frappe.db.set_value(DOCTYPE, season, {"archived_at": archived_at, **values})
	frappe.db.sql(
		"UPDATE `tabArchived Memory Tracker` SET archived_at = %s WHERE season = %s", (archived_at, season)
	)
	frappe.db.commit()
	return season


def add_answers(season: str) -> None:
	now = site_now()
	for number in range(ANSWERS):
		name = frappe.generate_hash(length=40)[:16].ljust(48, "0")
		frappe.db.sql(ANSWER_SQL, (name, "player0@past.example", season, f"q-{number}", now, now))


def add_figures(season: str) -> None:
	for number in range(DAYS):
		day = site_now().date() - timedelta(days=2000 + number)
		name = f"{day}-{season}"
		frappe.db.sql(DAY_SQL, (name, season, day))
		frappe.db.sql(SUBJECT_SQL, (name, name, "Daily Activity"))
	frappe.db.sql(COUNT_SQL, (season, season, day))
	frappe.db.sql(LEARNER_SQL, (f"99990101{season}", season, day, "player0@past.example"))
	frappe.db.sql(FORECAST_SQL, (season, season))
	frappe.db.sql(FORECAST_DAY_SQL, (season, season))


def figures() -> dict[str, int]:
	"""How many rows each table of figures has, subjects and days of forecasts included."""
	return {doctype: len(state.rows(doctype)) for doctype in FIGURES}


def answers_of(season: str) -> int:
	return len(state.rows("Player Review Log", season=season))


def is_flagged(season: str) -> bool:
	frappe.db.rollback()
	return bool(frappe.db.get_value(DOCTYPE, season, "eligible_for_deletion"))


def keep_for(days: int) -> None:
	frappe.get_single("Memora Settings").update({"retention_days": days}).save()
	frappe.db.commit()


# Flagging


def test_only_what_was_archived_long_ago_and_is_not_active_is_flagged():
	old, recent, active = make_old(), make_old(NOT_LONG_ENOUGH), make_old(is_active=1)
	not_archived = make_season(start_date="2001-01-01", end_date="2001-06-01").name
	result = SRSArchiver().flag_eligible_for_deletion()
	assert result["flagged_seasons"] == [old]
	assert [season for season in (old, recent, active, not_archived) if is_flagged(season)] == [old]
	assert SRSArchiver().flag_eligible_for_deletion()["flagged_seasons"] == []
	frappe.db.set_value(DOCTYPE, active, "is_active", 0)


def test_managers_are_told_of_each_season_once():
	manager, season = make_learner(roles=["Memora Manager"]).user, make_old()
	for _week in range(2):
		srs_archiver.flag_eligible_for_deletion()
	told = state.rows("Notification Log", for_user=manager)
	assert [(log.document_type, log.document_name) for log in told] == [(DOCTYPE, season)]


def test_the_settings_say_how_long_a_season_is_kept():
	season = make_old(timedelta(days=100))
	for days, (records, is_whole) in {
		1095: (0, False),
		90: (8, True),
		3650: (0, False),
		99: (8, True),
	}.items():
		keep_for(days)
		result = SRSArchiver().flag_eligible_for_deletion()
		assert result["cutoff_date"] == (site_now() - timedelta(days=days)).date()
		assert (result["flagged_count"], is_flagged(season)) == (records, is_whole)
		assert len(state.rows("Archived Memory Tracker", season=season, eligible_for_deletion=1)) == records


def test_nobody_flags_a_season_by_hand():
	document = frappe.get_doc(DOCTYPE, make_old(NOT_LONG_ENOUGH))
	document.eligible_for_deletion = 1
	document.save()
	frappe.db.commit()
	assert not is_flagged(document.name)


# Deleting


def test_a_dry_run_counts_all_and_deletes_nothing(monkeypatch):
	monkeypatch.setattr(journal, "COUNTED_ROWS", 7)
	season, _kept = make_old(), make_old(NOT_LONG_ENOUGH)
	SRSArchiver().flag_eligible_for_deletion()
	with state.nothing_changes():
		result = SRSArchiver().delete_eligible_records()
	assert (result["rows"], result["seasons"]) == ({season: ALL}, {season: 8})


def test_what_a_request_shows_of_a_large_journal_is_an_estimate(monkeypatch):
	season = make_old()
	SRSArchiver().flag_eligible_for_deletion()
	assert retention.preview_eligible() == {
		"seasons": {season: 8},
		"rows": {season: ALL},
		"is_estimate": False,
	}
	monkeypatch.setattr(retention, "EXACT_ROWS", 2000)
	for estimate, shown in {1_999: ANSWERS, 2_049: 2_000, 9_876_543: 9_900_000}.items():
		monkeypatch.setattr(tables, "estimate_rows", lambda _doctype, _season, rows=estimate: rows)
		assert retention.preview_eligible(season)["rows"][season]["Player Review Log"] == shown


def test_all_of_a_flagged_season_goes_and_nothing_of_others():
	whole, kept = make_old(), make_old(NOT_LONG_ENOUGH)
	before = figures()
	SRSArchiver().flag_eligible_for_deletion()
	result = SRSArchiver().delete_eligible_records(confirm=True)
	assert (result["success"], result["deleted_count"], result["rows"]) == (True, 8, {whole: ALL})
	assert (archived(whole), answers_of(whole)) == (0, 0)
	assert (archived(kept), answers_of(kept)) == (8, ANSWERS)
	assert figures() == {doctype: rows // 2 for doctype, rows in before.items()}
	assert season_figures.count_rows(kept)["Daily Activity"] == DAYS
	assert partitions.has_partitions(whole)
	assert comments(whole) == [
		(
			"Administrator",
			"Administrator deleted what is past the retention period: 8 × Archived Memory Tracker, 30 × Player Review Log, "
			"120 × Daily Activity, 1 × Activity Count, 1 × Daily Learner, 1 × Due Forecast.",
		)
	]
	assert SRSArchiver().delete_eligible_records(confirm=True)["rows"] == {}


def test_answers_of_a_season_whose_archive_went_long_ago_go(monkeypatch):
	season = make_old()
	frappe.db.delete("Archived Memory Tracker", {"season": season})
	frappe.db.commit()
	SRSArchiver().flag_eligible_for_deletion()
	result = SRSArchiver().delete_eligible_records(season, confirm=True)
	assert (result["deleted_count"], result["seasons"]) == (0, {season: 0})
	assert answers_of(season) == 0


@pytest.mark.parametrize("values", [{"is_active": 1}, {"archived_at": None}])
def test_a_season_that_is_active_or_not_archived_keeps_its_answers_whatever_its_flag_says(values):
	season = make_old(eligible_for_deletion=1, **values)
	frappe.db.sql(
		"UPDATE `tabArchived Memory Tracker` SET eligible_for_deletion = 1 WHERE season = %s", (season,)
	)
	frappe.db.set_value(DOCTYPE, season, values)
	frappe.db.commit()
	before = figures()
	assert SRSArchiver().delete_eligible_records(season, confirm=True)["rows"] == {
		season: {"Archived Memory Tracker": 8}
	}
	assert (answers_of(season), figures()) == (ANSWERS, before)
	frappe.db.set_value(DOCTYPE, season, "is_active", 0)


def test_the_journal_goes_by_one_statement_while_others_read_it():
	season = make_old()
	SRSArchiver().flag_eligible_for_deletion()
	with raw_connection() as reader, reader.cursor() as cursor:
		cursor.execute("SELECT COUNT(*) FROM `tabPlayer Review Log`")
		run = in_other_connection(lambda: SRSArchiver().delete_eligible_records(season, confirm=True))
		cursor.execute("SELECT COUNT(*) FROM `tabPlayer Review Log`")
		reader.rollback()
		assert run.result(40)["rows"] == {season: ALL}
	assert answers_of(season) == 0


# Death


@pytest.fixture(scope="module")
def dying(site) -> Iterator[DyingArchiver]:
	with dying_archiver.started() as archiver:
		yield archiver


def test_a_deletion_that_dies_after_any_statement_is_finished_by_the_next(dying):
	probe = make_old()
	SRSArchiver().flag_eligible_for_deletion()
	statements = dying.delete(probe)["statements"]
	assert sum("TRUNCATE PARTITION" in statement for statement in statements) == 2
	for number in range(1, len(statements) + 1):
		season = make_old()
		SRSArchiver().flag_eligible_for_deletion()
		assert dying.delete(season, die_after=number) == {}
		result = dying.delete(season)["result"]
		assert result["success"], statements[number - 1]
		assert (archived(season), answers_of(season), sum(figures().values())) == (0, 0, 0), statements[
			number - 1
		]
		texts = [text for _who, text in comments(season)]
		assert texts or number < 3  # who deleted it is known before anything is gone
	assert seasons.get_flagged_seasons()


def test_the_figures_of_one_season_go_to_the_last_row_and_those_of_another_stay():
	for season in ("one", "other"):
		add_figures(season)
	frappe.db.sql(
		f"""INSERT INTO `tabActivity Count` (name, season, day, answers)
		SELECT CONCAT('more-', seq), 'one', '2020-01-01', 1 FROM seq_1_to_{season_figures.ROWS}"""
	)
	frappe.db.commit()
	counted = season_figures.count_rows("other")
	assert season_figures.count_rows("one") == {**counted, "Activity Count": season_figures.ROWS + 1}
	season_figures.delete("one")
	assert figures() == {
		**counted,
		"Daily Activity Subject": DAYS,
		"Due Forecast Day": 1,
	}
	assert season_figures.count_rows("other") == counted
