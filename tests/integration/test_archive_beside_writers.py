"""Archiving a season while others write: an answer is archived or refused, none is lost."""

import frappe
import pytest

from memora.exceptions import NoActiveSeason, SeasonStateError
from memora.services.operations import replay
from memora.services.srs_archiver import SRSArchiver
from memora.services.srs_persistence import SRSPersistenceService
from memora.services.store import database, tracker
from memora.services.store.submissions import write_submission
from tests.integration import state
from tests.integration.archiving import (
	ARCHIVE,
	TRACKER,
	all_rows,
	deactivate,
	make_ended_season,
	rows_by_table,
)
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import lift_limits, make_learner, make_record, make_records, site_now
from tests.integration.submitting import answers, submit
from tests.integration.waiting import wait_until


def test_an_answer_being_written_is_archived_or_refused(archiver, season):
	"""Learners answer without a pause while the season is deactivated and archived."""
	lift_limits()
	players = [make_learner().name for _ in range(3)]

	def play(player: str) -> int:
		accepted = 0
		while True:
			try:
				submit(player, answers(2))
			except (NoActiveSeason, SeasonStateError):
				return accepted
			accepted += 1

	playing = [in_other_connection(lambda p=p: play(p)) for p in players]
	wait_until(lambda: all(state.journal(player) for player in players), "the first answers")
	deactivate(season)
	assert SRSArchiver().archive_season(season, before_its_end=True)["archived_count"] == 2 * len(players)
	accepted = [future.result(30) for future in playing]
	assert rows_by_table(season).keys() == {ARCHIVE}
	archived = state.rows("Archived Memory Tracker")
	for player, count in zip(players, accepted, strict=True):
		assert len(state.journal(player)) == 2 * count
		assert {r.reps for r in archived if r.player == player} == {1}  # one counts on a day
	assert state.rows("Review Outbox") == []


def test_a_submission_not_committed_yet_keeps_the_season_from_being_deactivated(season, player):
	with database.learner_lock(player):
		name = write_submission(player, season, "s-1", [], [make_record("q")], site_now())
		ending = in_other_connection(lambda: deactivate(season))
		wait_until(lambda: _waits_for_row(), "the deactivation to wait")
		frappe.db.commit()
	ending.result(30)
	assert SRSArchiver().archive_season(season, before_its_end=True)["archived_count"] == 1
	assert name not in {row.name for row in state.rows("Review Outbox")}


def _waits_for_row() -> bool:
	with raw_connection() as connection, connection.cursor() as cursor:
		return bool(
			cursor.execute(
				"SELECT 1 FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND STATE = 'Statistics' "
				"AND INFO LIKE '%%Game Subscription Season%%FOR UPDATE%%' AND ID != CONNECTION_ID()"
			)
		)


def test_results_of_other_schedulers_are_refused_from_its_begin_on(archiver, player):
	ended = make_ended_season()
	with database.transaction():
		tracker.keep_from_removal(player, ended)
		tracker.upsert_records(player, ended, [make_record("late")])
		run = in_other_connection(lambda: SRSArchiver().archive_season(ended))
		wait_until(_waits_for_row, "the run to wait for the season")
	assert run.result(30)["archived_count"] == 51
	with pytest.raises(SeasonStateError, match="archived"):
		tracker.keep_from_removal(player, ended)
	response = {"question_id": "later", "new_stability": 2.0, "new_next_review_date": site_now()}
	result = SRSPersistenceService().persist_review_batch([response], player, ended)
	assert (result["success"], result["failed_count"]) == (False, 1)
	assert len(all_rows(ended)) == 51


def test_a_replay_does_not_fill_the_tracker_of_an_archived_season_again(archiver, season, player):
	submit(player, answers(3))
	deactivate(season)
	assert archiver.archive_season(season, before_its_end=True)["success"]
	with pytest.raises(SeasonStateError, match="archived"):
		replay.replay_season(season, repair=True)
	assert rows_by_table(season).keys() == {ARCHIVE}


def test_a_transaction_that_began_before_it_reads_another_season_after_it(archiver, season, player):
	make_records(player, 3)
	ended = make_ended_season()
	with raw_connection() as reader, reader.cursor() as cursor:
		cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
		assert archiver.archive_season(ended)["success"]
		cursor.execute(f"SELECT COUNT(*) FROM `{TRACKER}` WHERE season = %s", (season,))
		assert cursor.fetchone() == (3,)
