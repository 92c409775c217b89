"""Old spellings of seasons become one name, and seasons with rows get a document: store/old_seasons."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import frappe
import pytest

from memora.services.store import old_seasons, partitions
from tests.integration import cleaning, state
from tests.integration.accounts import answer, put_answers, put_tracker
from tests.integration.factories import learner_id, make_record, make_season
from tests.integration.old_tables import run

DOCTYPE = "Game Subscription Season"
HER = learner_id("her")
AT = datetime(2026, 3, 2, 9)
TABLES = ("memora_test_a", "memora_test_b")
REFUSED = "a<b", "New Game Subscription Season 7"  # by Memora, and by Frappe


@pytest.fixture
def without_document(site) -> Iterator[list[str]]:
	"""Two seasons with partitions and without a document."""
	names = [make_season(season_name=name).name for name in ("Älteste", "Older")]
	frappe.db.delete(DOCTYPE, {"name": ("in", names)})
	frappe.db.commit()
	yield names
	cleaning.drop_stray_partitions()


@pytest.fixture
def spelled(site) -> Iterator[None]:
	for table in TABLES:
		run(f"CREATE TABLE `{table}` (season varchar(140) COLLATE utf8mb4_unicode_ci)")
	yield
	for table in TABLES:
		run(f"DROP TABLE `{table}`")


def test_each_spelling_becomes_the_name_of_a_document_a_partition_or_the_most_frequent(
	season, without_document, spelled
):
	counts = {
		TABLES[0]: {None: 1, "": 2, f" {season.lower()} ": 3, "Spring 2025": 2, "OLDER": 9, "autumn": 1},
		TABLES[1]: {"spring  2025 ": 3, "Spring 2025": 1, "season-default": 1, "Autumn": 2},
	}
	for table, by_spelling in counts.items():
		for spelling, count in by_spelling.items():
			for _ in range(count):
				frappe.db.sql(f"INSERT INTO `{table}` VALUES (%s)", (spelling,))
	frappe.db.commit()
	assert old_seasons.settle(TABLES) == {
		season: season,
		None: "SEASON-DEFAULT",
		"": "SEASON-DEFAULT",
		"season-default": "SEASON-DEFAULT",
		f" {season.lower()} ": season,
		"Spring 2025": "spring 2025",
		"spring  2025 ": "spring 2025",
		"OLDER": "Older",
		"autumn": "Autumn",
		"Autumn": "Autumn",
	}


def test_seasons_with_rows_get_a_document_from_the_first_answer_to_the_last_review(
	season, without_document, capfd
):
	by_tracker, by_journal = without_document
	first = make_record("q1", creation=AT - timedelta(days=9), next_review_date=AT + timedelta(days=5))
	put_tracker(HER, by_tracker, first, make_record("q2", creation=AT, next_review_date=AT))
	put_tracker(HER, season, make_record("q1", creation=AT - timedelta(days=99)))
	put_answers(HER, by_journal, "s", answer("q1", AT - timedelta(days=3)))
	frappe.db.sql(
		"UPDATE `tabPlayer Review Log` SET creation = %s, reviewed_at = %s WHERE player = %s",
		(AT - timedelta(days=3), AT - timedelta(days=4), HER),
	)
	frappe.db.commit()
	before = state.rows(DOCTYPE)
	old_seasons.make_documents([season, "Without rows", by_tracker, by_journal])
	frappe.db.commit()
	made = {row.name: (row.start_date, row.end_date, row.is_active) for row in state.rows(DOCTYPE)}
	assert made == {
		season: (before[0].start_date, before[0].end_date, 1),
		by_tracker: (date(2026, 2, 21), date(2026, 3, 7), 0),
		by_journal: (date(2026, 2, 27), date(2026, 2, 27), 0),
	}
	output = capfd.readouterr().out
	assert (
		f"Season {by_tracker} had rows but no document. It has one now, not active, 2026-02-21 to 2026-03-07."
		in output
	)
	assert "Without rows" not in output


def test_a_season_that_can_have_no_document_is_named_and_the_next_gets_one(without_document, capfd):
	for name in (*REFUSED, without_document[0]):
		put_archived(name)
	old_seasons.make_documents([*REFUSED, without_document[0]])
	frappe.db.commit()
	output = capfd.readouterr().out
	assert all(f"Season {name} has rows, but can't have a document: " in output for name in REFUSED)
	assert {row.name for row in state.rows(DOCTYPE)} >= {without_document[0]}
	assert not {row.name for row in state.rows(DOCTYPE)} & {*REFUSED}


def put_archived(season: str) -> None:
	"""A record in a partition of this name."""
	frappe.db.commit()
	if season in REFUSED:
		partitions.create_partition(season)
	put_tracker(HER, season, make_record("q1"), doctype="Archived Memory Tracker")
