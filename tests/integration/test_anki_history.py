"""The history of a deck of Anki: a learner's old answers are journalled, once, and replayed."""

from datetime import datetime, timedelta
from pathlib import Path

import frappe
import pytest

from memora.exceptions import NoActiveSeason
from memora.services import site_time
from memora.services.anki import importer
from memora.services.figures import activity
from memora.services.learning import reviews, submissions
from memora.services.learning.answers import Response
from memora.services.operations import replay
from tests.integration import state
from tests.integration.anki_decks import imported, make_import, run, write_old
from tests.integration.factories import STANDING_SEASON, make_learner

# History
DAY_MS = 86_400_000


@pytest.fixture
def old_deck(tmp_path) -> Path:
	"""Two cards learnt long ago; rows of the log that are no answers, or of no card of the file."""
	begin = int((datetime.now() - timedelta(days=60)).timestamp() * 1000)
	answers = [(1, 0, 3), (2, 0, 1), (2, 1, 3), (1, 4, 4), (2, 5, 2), (1, 20, 1)]
	log = [(begin + day * DAY_MS + card, card, button, 4000, 1) for card, day, button in answers]
	log += [
		(begin + 1, 1, 0, 0, 4),
		(begin + 2, 1, 3, 0, 3),
		(begin + 3, 99, 3, 0, 1),
		(begin + 400 * DAY_MS, 1, 3, 0, 1),
	]
	return write_old(tmp_path / "old.apkg", [("a", "A\x1f1"), ("b", "B\x1f2"), ("c", "C\x1f3")], revlog=log)


def test_a_learners_history_is_journalled_and_replayed(old_deck, player, season):
	doc = run(old_deck, learner=player)
	assert (doc.status, doc.created, doc.reviews_imported) == ("Completed", 3, 6)
	journal = sorted(state.journal(player), key=lambda row: row.reviewed_at)
	assert [row.quality for row in journal] == [4, 1, 4, 5, 3, 1]
	assert [row.kind for row in journal] == ["Learn", "Learn", *["Review"] * 4]
	assert {(row.source, row.graded_by) for row in journal} == {("Import", "Learner")}
	assert all(row.reviewed_at < site_time.naive_now() - timedelta(days=35) for row in journal)
	rows = state.tracker(player)
	assert sorted(row.reps for row in rows.values()) == [3, 3]
	assert state.outbox(player) == []
	report = replay.replay_season(season, player)
	assert (report.answers, report.differences, report.unjournalled) == (6, 0, 0)
	activity.sum_up()
	first, last = journal[0].reviewed_at.date() - timedelta(days=1), site_time.naive_now().date()
	counted = [day.counts for day in activity.by_day(season, first, last)]
	assert (sum(c.answers for c in counted), sum(c.reviews for c in counted)) == (6, 4)
	due = {q["question_id"] for q in reviews.read_reviews(player)["questions"]}
	assert due == {q for q, row in rows.items() if row.next_review_date <= site_time.naive_now()}


def test_a_second_import_of_a_history_adds_nothing(old_deck, player, season):
	run(old_deck, learner=player)
	before = (state.journal(player), state.tracker(player))
	assert run(old_deck, learner=player).reviews_imported == 0
	assert (state.journal(player), state.tracker(player)) == before


def test_a_question_that_she_has_answered_here_keeps_its_schedule(old_deck, player):
	run(old_deck)
	answered = imported()[0].name
	submissions.submit(player, [Response(answered, 4)])
	doc = run(old_deck, learner=player)
	assert doc.reviews_imported == 3
	assert len([row for row in state.journal(player) if row.question_id == answered]) == 1


def test_a_history_needs_an_active_season(old_deck, player):
	frappe.db.set_value("Game Subscription Season", STANDING_SEASON, "is_active", 0)
	doc = make_import(old_deck, learner=player)
	with pytest.raises(NoActiveSeason):
		doc.run_method("preview")
	assert importer.run_import(doc.name)["status"] == "Failed"
	assert imported() == []


def test_a_manager_imports_nobody_elses_history(old_deck, player, season):
	"""Whoever makes a deck can write any answers of any day into it."""
	doc = make_import(old_deck, learner=player)
	manager = make_learner(["Memora Manager"])
	frappe.set_user(manager.user)
	for refused in (doc.start, doc.preview, lambda: make_import(old_deck, learner=player)):
		with pytest.raises(frappe.PermissionError, match="System Manager"):
			refused()
		frappe.db.rollback()
	assert make_import(old_deck, learner=manager.name).learner == manager.name
	frappe.set_user(make_learner(["Memora Manager", "System Manager"]).user)
	assert make_import(old_deck, learner=player).learner == player
	assert state.journal(player) == []
