"""Archiving a season: what is refused, and two runs at the same time."""

from contextlib import nullcontext, suppress

import frappe
import pytest
from frappe.utils import add_days, formatdate, getdate

from memora.exceptions import MemoraError, PartitionError, SeasonNotOver, SeasonStateError, UnknownSeason
from memora.services.operations import archiving
from memora.services.srs_archiver import SRSArchiver
from memora.services.store import ddl, failures, swap
from tests.integration import state
from tests.integration.archiving import (
	ARCHIVE,
	TRACKER,
	all_rows,
	drifted_columns,
	make_ended_season,
	make_late_submission,
	put_back,
	refusal,
	rows_by_table,
	stored,
)
from tests.integration.connections import at_once, in_other_connection, raw_connection
from tests.integration.factories import make_records, site_now
from tests.integration.submitting import answers, submit
from tests.integration.waiting import wait_until


def test_what_would_be_refused_can_be_known_before(archiver, season):
	ended = make_ended_season(0)
	archiving.require_archivable(ended)
	archiver.archive_season(ended)
	for name, error in ((ended, SeasonStateError), (season, SeasonStateError), ("nowhere", UnknownSeason)):
		with pytest.raises(error) as caught:
			archiving.require_archivable(name)
		assert str(caught.value) == refusal(archiver, name)


@pytest.mark.parametrize("days", [0, 300], ids=["today", "next year"])
def test_a_season_whose_last_day_is_not_over_is_archived_by_who_says_so(archiver, days):
	ahead = make_ended_season(5, end_date=add_days(getdate(), days))
	with pytest.raises(SeasonNotOver, match=formatdate(add_days(getdate(), days))):
		archiving.require_archivable(ahead)
	with state.nothing_changes():
		assert "before_its_end" in refusal(archiver, ahead)
	assert archiver.archive_season(ahead, before_its_end=True)["archived_count"] == 5


def test_a_run_that_has_begun_before_the_end_is_finished_without_asking_again(archiver):
	ahead = make_ended_season(5, end_date=add_days(getdate(), 300))
	frappe.db.set_value("Game Subscription Season", ahead, "archive_started_at", site_now())
	frappe.db.commit()
	assert archiver.process_auto_archive()["archived_seasons"] == 1


def test_an_unknown_season(archiver):
	assert refusal(archiver, "nowhere") == "There is no season nowhere."


def test_the_active_season(archiver, season, player):
	make_records(player)
	with state.nothing_changes():
		assert refusal(archiver, season) == f"Season {season} is active. Deactivate it before archiving it."
	assert submit(player, answers())["status"] == "success"


def test_a_season_archived_already(archiver):
	ended = make_ended_season()
	archiver.archive_season(ended)
	with state.nothing_changes():
		assert refusal(archiver, ended) == f"Season {ended} is archived already."


def test_only_one_runs_at_a_time(archiver):
	one, other = make_ended_season(), make_ended_season()
	with raw_connection() as reader, reader.cursor() as cursor:
		cursor.execute(f"SELECT COUNT(*) FROM `{TRACKER}`")  # keeps the first run waiting
		first = in_other_connection(lambda: SRSArchiver().archive_season(one))
		wait_until(
			lambda: stored(one).archive_status == "Removing the rows from the tracker", "the first run"
		)
		for season in (one, other):
			assert refusal(archiver, season) == "Another archive or retention run is going on."
		assert "going on" in archiver.delete_eligible_records(confirm=True)["error"]
		assert stored(one).archive_status == "Removing the rows from the tracker"
		reader.rollback()
		assert first.result(30)["success"]
	assert archiver.archive_season(other)["success"]


def test_runs_at_the_same_moment(archiver):
	ended = make_ended_season()
	results = at_once(*[lambda: SRSArchiver().archive_season(ended)] * 3)
	assert sorted(result["success"] for result in results) == [False, False, True]
	assert rows_by_table(ended).keys() == {ARCHIVE}


@pytest.mark.parametrize("order", [nullcontext, drifted_columns], ids=["swapped", "copied"])
def test_even_two_runs_at_one_season_lose_nothing(archiver, monkeypatch, order):
	"""The first run's lock can be lost with its connection. Then a second run begins while the first goes on."""
	monkeypatch.setattr(swap, "COPY_ROWS", 10)
	ended = make_ended_season()
	before = all_rows(ended)

	def move() -> None:
		with suppress(MemoraError, *failures.ERRORS):
			swap.take_out(ended)
			swap.put_in(ended, site_now(), on_copied=lambda rows: None)

	with order():
		for _round in range(3):
			at_once(move, move)
			assert all_rows(ended) == before
			assert archiver.archive_season(ended)["archived_count"] == 50
			assert rows_by_table(ended) == {ARCHIVE: before}
			put_back(ended)


def test_a_staging_table_with_rows_is_never_dropped():
	ended = make_ended_season()
	swap.take_out(ended)
	staging = swap.staging_table(ended)
	with pytest.raises(PartitionError, match=f"{staging} holds rows"):
		ddl.drop_empty(staging)
	assert len(rows_by_table(ended)[staging]) == 50


def test_parked_answers_stop_it_and_the_message_says_what_to_do(archiver):
	ended = make_ended_season()
	name = make_late_submission(ended)
	frappe.db.set_value("Review Outbox", name, "payload", '["not a record"]')
	frappe.db.commit()
	error = refusal(archiver, ended)
	assert "still wait in Review Outbox: 1, of them parked: 1." in error and "drain --parked" in error
	assert stored(ended).archive_status == f"Stopped: {error}"
	assert len(rows_by_table(ended)[TRACKER]) == 50
	frappe.db.set_value("Review Outbox", name, {"payload": "[]", "parked_at": None})
	frappe.db.commit()
	assert archiver.archive_season(ended)["archived_count"] == 50
	assert stored(ended).archive_status == "Archived"
