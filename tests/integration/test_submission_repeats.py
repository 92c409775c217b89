"""A submission is sent again, or several times at the same moment: its answers count once."""

import signal

import frappe
import pytest

from memora.exceptions import JournalUnavailable, SubmissionConflict
from memora.services import site_time
from memora.services.cache.schedules import Schedules
from memora.services.folding.folds import fold
from memora.services.learning import scheduling
from memora.services.store import database, row_names, tracker
from tests.integration import state
from tests.integration.connections import at_once, raw_connection
from tests.integration.factories import bank_questions, make_learner, make_questions, make_records
from tests.integration.submitting import answers, ids, read, submit

DEVICES = 6


def stored() -> dict:
	"""Returns the rows and jobs that a repeat must leave alone. The cache may be dropped and loaded again."""
	return {key: value for key, value in state.everything().items() if key != "srs"}


def fold_all(player: str) -> None:
	for row in state.outbox(player):
		fold(row.name)


@pytest.mark.parametrize("is_folded", [False, True], ids=["waiting", "folded"])
def test_a_repeat_answers_the_first_result_and_changes_nothing(player, is_folded):
	make_records(player, 4)
	first = submit(player, answers(3), "s-1")
	if is_folded:
		fold_all(player)
	due = ids(read(player))
	before = stored()
	again = submit(player, answers(3), "s-1")
	assert again["status"] == "already_processed"
	assert stored() == before
	assert ids(read(player)) == due
	same = ("processed", "rejected", "submission_id", "season", "schedule", "is_degraded")
	assert {key: again[key] for key in same} == {key: first[key] for key in same}


def test_a_repeat_after_a_later_answer_does_not_set_the_schedule_back(player, season):
	submit(player, answers(1), "s-1")
	submit(player, answers(1, quality=1), "s-2")
	expected = state.scores(player, season)
	submit(player, answers(1), "s-1")
	assert state.scores(player, season) == expected
	read(player)
	assert state.cached(player, season) == expected


@pytest.mark.parametrize("scheduled", [3, 0], ids=["whole", "empty"])
@pytest.mark.parametrize("is_repeated", [True, False], ids=["repeated", "folded"])
def test_after_a_death_between_commit_and_cache_the_next_read_shows_mariadbs_dates(
	player, season, monkeypatch, scheduled, is_repeated
):
	"""A schedule that knows nothing of the answers is dropped by the repeat, and by the fold."""
	if scheduled:
		make_records(player, scheduled)
	read(player)
	assert state.is_loaded(player, season)
	before = state.cached(player, season)
	with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
		patch.setattr(Schedules, "reschedule", lambda *_args, **_options: signal.raise_signal(signal.SIGINT))
		submit(player, answers(2), "s-1")
	frappe.db.rollback()
	assert len(state.journal(player)) == 2
	assert state.cached(player, season) == before
	if is_repeated:
		assert submit(player, answers(2), "s-1")["status"] == "already_processed"
	else:
		fold_all(player)
	read(player)
	assert state.cached(player, season) == state.scores(player, season)


def test_a_repeat_rejects_what_was_rejected(player):
	responses = answers(questions=[bank_questions()[0], "no such question"])
	first = submit(player, responses, "s-1")
	before = stored()
	again = submit(player, responses, "s-1")
	assert (again["status"], again["rejected"]) == ("already_processed", first["rejected"])
	assert stored() == before


@pytest.mark.parametrize("is_known", [False, True], ids=["new", "known"])
def test_a_repeat_rejects_what_was_withdrawn_at_first(player, is_known):
	questions = make_questions(3)
	if is_known:
		make_records(player, question_ids=questions)
	withdrawn = frappe.get_doc("Game Question", questions[1])
	withdrawn.update({"enabled": 0}).save()
	frappe.db.commit()
	first = submit(player, answers(questions=questions), "s-1")
	assert [r["question_id"] for r in first["rejected"]] == questions[1:2]
	withdrawn.update({"enabled": 1}).save()
	frappe.db.commit()
	again = submit(player, answers(questions=questions), "s-1")
	assert (again["status"], again["rejected"]) == ("already_processed", first["rejected"])


@pytest.mark.parametrize(
	("other", "named"),
	[
		pytest.param(answers(2, quality=1), 0, id="another quality"),
		pytest.param(answers(1), 1, id="one answer less"),
		pytest.param(answers(4), 2, id="two answers more"),
		pytest.param(answers(questions=bank_questions()[5:7]), 0, id="other questions"),
	],
)
@pytest.mark.parametrize("is_folded", [False, True], ids=["waiting", "folded"])
def test_an_id_that_was_used_for_other_answers_is_a_conflict(player, other, named, is_folded):
	submit(player, answers(2), "s-1")
	if is_folded:
		fold_all(player)
	with state.nothing_changes(), pytest.raises(SubmissionConflict, match="s-1") as caught:
		submit(player, other, "s-1")
	assert bank_questions()[named] in str(caught.value)
	assert caught.value.http_status_code == 409


def test_ids_belong_to_one_learner(player):
	other = make_learner().name
	assert submit(player, answers(2), "s-1")["status"] == "success"
	assert submit(other, answers(2, quality=1), "s-1")["status"] == "success"
	assert len(state.journal(player)) == len(state.journal(other)) == 2


@pytest.mark.parametrize(("one", "other"), [("s-1", "S-1"), ("s-1", "s-1 "), ("é", "e")])
def test_ids_that_the_collation_takes_for_one_are_two(player, one, other):
	assert submit(player, answers(1), one)["status"] == "success"
	assert submit(player, answers(1), other)["status"] == "success"
	assert len(state.journal(player)) == 2


def test_the_same_submission_at_the_same_moment_counts_once(player):
	make_records(player, 3)
	results = at_once(*[lambda: submit(player, answers(3), "s-1")] * DEVICES)
	statuses = sorted(result["status"] for result in results)
	assert statuses == ["already_processed"] * (DEVICES - 1) + ["success"]
	assert all(result["schedule"] == results[0]["schedule"] for result in results)
	assert len(state.journal(player)) == 3
	fold_all(player)
	assert {row.reps for row in state.tracker(player).values()} == {2}


def test_of_two_devices_at_once_one_counts_and_both_are_journalled(player, season):
	make_records(player, 3)
	read(player)
	at_once(
		lambda: submit(player, answers(3, quality=1), "phone"),
		lambda: submit(player, answers(3, quality=5), "tablet"),
	)
	assert {(row.submission_id, row.question_id) for row in state.journal(player)} == {
		(device, question_id) for device in ("phone", "tablet") for question_id in bank_questions()[:3]
	}
	for question_id in bank_questions()[:3]:
		first, second = sorted(
			(row for row in state.journal(player) if row.question_id == question_id),
			key=lambda row: row.reviewed_at,
		)
		assert (first.kind, second.kind) == ("Review", "Practice")
		assert second.stability_before == first.stability_after
		assert second.next_review_date_after == first.next_review_date_after
	fold_all(player)
	assert {row.reps for row in state.tracker(player).values()} == {2}
	read(player)
	assert state.cached(player, season) == state.scores(player, season)


def test_many_devices_at_once_lose_no_answer(player, season):
	read(player)
	actions = [lambda quality=q: submit(player, answers(5, quality=quality)) for q in range(DEVICES)]
	assert all(result["status"] == "success" for result in at_once(*actions))
	assert len(state.journal(player)) == 5 * DEVICES
	assert replayed(player, season) == {
		q: (r.stability, r.next_review_date) for q, r in tracker.get_all_records(player, season).items()
	}
	read(player)
	assert state.cached(player, season) == state.scores(player, season)


def replayed(player: str, season: str) -> dict:
	"""(stability, next_review_date) by question, from the journal alone."""
	zone = site_time.site_zone()
	memories: dict[str, scheduling.Memory] = {}
	for row in sorted(state.journal(player), key=lambda row: row.reviewed_at):
		if row.kind == "Practice":
			continue
		memories[row.question_id] = scheduling.review(
			memories.get(row.question_id),
			row.quality,
			row.reviewed_at.replace(tzinfo=zone),
			seed=row_names.tracker_name(player, season, row.question_id),
			calendar=scheduling.LearningCalendar(zone),
			season_end=frappe.db.get_value("Game Subscription Season", season, "end_date"),
		).memory
	return {q: (m.stability, m.due.replace(tzinfo=None)) for q, m in memories.items()}


def test_learners_do_not_wait_for_each_other(player, monkeypatch):
	monkeypatch.setattr(database, "LEARNER_LOCK_WAIT_SECONDS", 0)
	other = make_learner().name
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (lock_name(other),))
		assert submit(player, answers(1))["status"] == "success"


def test_a_learner_whose_other_answer_is_being_saved_is_told_to_send_again(player, monkeypatch):
	monkeypatch.setattr(database, "LEARNER_LOCK_WAIT_SECONDS", 0)
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (lock_name(player),))
		with state.nothing_changes(), pytest.raises(JournalUnavailable) as caught:
			submit(player, answers(1))
	assert caught.value.http_status_code == 503
	monkeypatch.undo()  # the server may take a moment to see that the connection is gone
	assert submit(player, answers(1))["status"] == "success"


def test_the_lock_is_released_after_an_error(player, season):
	submit(player, answers(1), "s-1")
	with pytest.raises(SubmissionConflict):
		submit(player, answers(2), "s-1")
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT IS_FREE_LOCK(%s)", (lock_name(player),))
		assert cursor.fetchone() == (1,)


def lock_name(player: str) -> str:
	return "memora:" + row_names.digest(frappe.conf.db_name, player)
