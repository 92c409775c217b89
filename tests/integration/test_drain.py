"""The drain: many submissions in few statements, the poisoned ones aside, deadlocks tried again."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import product
from types import SimpleNamespace

import frappe
import pytest
from frappe.database.database import Database

from memora.services import srs_persistence
from memora.services.folding import folds, queueing
from memora.services.folding.folds import FOLD_SUBMISSIONS
from memora.services.settings import SETTINGS_SQL
from memora.services.store import row_names
from memora.services.store import tracker as tracker_store
from memora.services.store.database import IDENTITY_SQL
from memora.services.store.records import MemoryRecord, OutboxRow
from tests.integration import factories
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.folding import POISON, drain, put, put_many, put_poison, record
from tests.integration.state import outbox, queued_jobs, rows, tracker
from tests.integration.submitting import answers, submit
from tests.integration.waiting import wait_until

OTHER = factories.learner_id("other")


@contextmanager
def statements(monkeypatch) -> Iterator[list[str]]:
	"""The SQL that this connection sends in the block, but for what a process asks every few seconds."""
	sent: list[str] = []
	sql = Database.sql

	def counting(self, query, *values, **options):
		if query not in (SETTINGS_SQL, IDENTITY_SQL):
			sent.append(" ".join(str(query).split())[:60])
		return sql(self, query, *values, **options)

	with monkeypatch.context() as patch:
		patch.setattr(Database, "sql", counting)
		yield sent


# Many in few statements


def test_a_full_batch_takes_as_many_statements_as_a_small_one(season, monkeypatch):
	counts = []
	for how_many in (1, FOLD_SUBMISSIONS - 1):
		put_many(season, how_many)
		with statements(monkeypatch) as sent:
			assert drain() == how_many
		counts.append(len(sent))
	assert counts[0] == counts[1] <= 13, counts


def test_batches_follow_one_another_until_nothing_waits(season, monkeypatch):
	put_many(season, 2 * FOLD_SUBMISSIONS + 10, answers=1)
	with statements(monkeypatch) as sent:
		assert drain() == 2 * FOLD_SUBMISSIONS + 10
	assert sum(s.startswith("DELETE") for s in sent) == 3
	assert not rows("Review Outbox")
	assert len(rows("Player Memory Tracker")) == 2 * FOLD_SUBMISSIONS + 10


def test_the_job_folds_what_others_left(season, player):
	own = put(player, season, "own", [record("q1")])
	other = put(OTHER, season, "other", [record("q1"), record("q2")])
	result = srs_persistence.persist_review_batch([], player, season, submission=own)
	assert result == {"success": True, "processed_count": 3, "failed_count": 0, "errors": []}
	assert not outbox(player) and not outbox(OTHER) and own != other
	assert tracker(player).keys() == {"q1"}
	assert tracker(OTHER).keys() == {"q1", "q2"}


def test_what_is_submitted_while_a_job_drains_gets_a_job_of_its_own(season, player, monkeypatch):
	"""The job may have looked into the outbox before. Only the sweeper, a minute later, would fold the submission."""
	monkeypatch.setattr(queueing, "JOB_WAITS_SECONDS", 60)
	first = submit(player, answers(1))["persistence_job_id"]
	later = factories.make_learner().name
	drain_ = folds.drain

	def draining(*args, **options):
		folded = drain_(*args, **options)
		in_other_connection(lambda: submit(later, answers(1), "later")).result(20)
		return folded

	monkeypatch.setattr(folds, "drain", draining)
	assert queueing.run_job(queueing.key_of(first)) == 1
	(waiting,) = outbox(later)
	jobs = [job for ids in queued_jobs().values() for job in ids]
	assert jobs == [first, queueing.job_id_of(waiting.name)]


def test_what_another_process_folds_just_now_is_left_to_it(season, player):
	mine, theirs = put(player, season, "a", [record("q1")]), put(OTHER, season, "b", [record("q2")])
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT name FROM `tabReview Outbox` WHERE name = %s FOR UPDATE", (theirs,))
		assert [row.name for row in folds.drain(factories.site_now()).folded] == [mine]
		connection.rollback()  # closing it would let the row go a little later
	assert drain() == 1


# The newest answer wins


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_newest_answer_stays_in_whatever_order_they_are_folded(season, player, order):
	keys = [put(player, season, f"s{n}", [answered(n)]) for n in range(3)]
	for index in order:
		assert folds.fold(keys[index])
	assert_is(tracker(player)["q1"], answered(2))


def test_the_newest_answer_stays_within_a_batch(season, player):
	for n in (1, 2, 0):
		put(player, season, f"s{n}", [answered(n)])
	assert drain() == 3
	assert_is(tracker(player)["q1"], answered(2))


def test_folding_again_changes_nothing(season, player):
	put(player, season, "s2", [answered(2)])
	drain()
	before = tracker(player)
	put(player, season, "s0", [answered(0)])
	put(player, season, "s2", [answered(2)])
	drain()
	assert tracker(player) == before


def test_mariadb_and_python_agree_on_which_of_two_records_is_newer(season, player):
	"""Also where a clock was set back, so that the newer record, with more reps, has the older date."""
	noon = factories.site_now().replace(microsecond=5)
	ages = [(reps, noon + timedelta(microseconds=shift)) for reps in (1, 2, 3) for shift in (-1, 0, 1)]
	pairs = {f"q{n}": pair for n, pair in enumerate(product(ages, ages))}

	def records(which: int) -> list[MemoryRecord]:
		values = [(q, pair[which], which + 1.5) for q, pair in pairs.items()]
		return [record(q, reps=r, last_review_date=d, stability=s) for q, (r, d), s in values]

	stored, folded = records(0), records(1)
	for some in (stored, folded):
		tracker_store.upsert_records(player, season, some)
	frappe.db.commit()
	newest = [new if new.age >= old.age else old for old, new in zip(stored, folded, strict=True)]
	fields = ("reps", "last_review_date", "stability")
	found = tracker(player)
	assert {q: [found[q][f] for f in fields] for q in pairs} == {
		r.question_id: [getattr(r, f) for f in fields] for r in newest
	}


def answered(n: int) -> MemoryRecord:
	"""Returns the record that the nth answer to one question led to."""
	first = factories.site_now().replace(microsecond=0, second=0, minute=0) - timedelta(hours=10)
	moment = first + timedelta(hours=n)
	return record(
		"q1",
		reps=n + 1,
		lapses=n,
		stability=10.5 - n,
		difficulty=5.25 + n,
		last_review_date=moment,
		next_review_date=moment + timedelta(days=9 - n),
		creation=first.replace(hour=0) - timedelta(days=3),
	)


def assert_is(row, expected: MemoryRecord) -> None:
	fields = ("stability", "difficulty", "reps", "lapses", "last_review_date", "next_review_date", "creation")
	assert {f: row[f] for f in fields} == {f: getattr(expected, f) for f in fields}


def test_poison_is_parked_with_its_error_and_does_not_stop_the_others(season):
	no_partition, unreadable = put_poison(season)
	assert drain() == 4
	parked = {row.name: row.error for row in rows("Review Outbox")}
	assert parked.keys() == {no_partition, unreadable}
	assert "1526" in parked[no_partition]
	assert "TypeError" in parked[unreadable]
	assert tracker(factories.learner_id("last")) and tracker(factories.learner_id("player 2"))


def test_poison_alerts_once(season):
	put_poison(season)
	drain()
	put(factories.learner_id("more poison"), season, "a", [], POISON)
	drain()
	assert len(rows("Review Outbox")) == 3
	alerts = rows("Notification Log", subject="Answers could not be processed")
	assert len(alerts) == len({alert.for_user for alert in alerts}) >= 1
	assert len(rows("Error Log", method="Answers could not be processed")) == 1


def test_parked_submissions_do_not_come_back_by_themselves(season, monkeypatch):
	put_poison(season)
	drain()
	with statements(monkeypatch) as sent:
		assert drain() == 0
	assert not any("UPDATE" in s for s in sent)


def test_parked_submissions_are_folded_when_the_cause_is_mended(season):
	no_partition, unreadable = put_poison(season)
	drain()
	factories.make_season(season_name="Nowhere")
	assert folds.unpark() == 2
	drain()
	assert [row.name for row in rows("Review Outbox")] == [unreadable]
	assert tracker(factories.learner_id("lost")).keys() == {"q1"}
	assert rows("Review Outbox")[0].parked_at


def test_a_parked_submission_does_not_stop_a_learners_reads(season, player):
	put(player, season, "a", [], POISON)
	put(player, season, "b", [record("q1")])
	assert tracker_store.get_all_records(player, season).keys() == {"q1"}


# Locks


@pytest.fixture
def impatient(monkeypatch):
	"""Lock waits of a second, retries without much delay; how often it slept is counted."""
	monkeypatch.setattr(folds, "LIMITS", folds.LIMITS._replace(innodb_lock_wait_timeout=1))
	monkeypatch.setattr(folds, "RETRY_DELAY_BASE", 0.01)
	delays: list[float] = []

	def sleep(seconds: float) -> None:
		delays.append(seconds)
		time.sleep(seconds)

	own_time = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
	monkeypatch.setattr(folds, "time", own_time)  # not the module that everybody shares
	return delays


def test_a_lock_wait_that_times_out_is_tried_again(season, player, impatient):
	[stored] = factories.make_records(player)
	key = put(player, season, "a", [newer(stored)])
	held, released = threading.Event(), threading.Event()

	def hold() -> None:
		frappe.db.sql("SELECT name FROM `tabPlayer Memory Tracker` WHERE player = %s FOR UPDATE", (player,))
		held.set()
		wait_until(lambda: 0.01 in impatient or released.is_set(), "a first retry")
		frappe.db.rollback()

	holder = in_other_connection(hold)
	try:
		assert held.wait(10)
		assert folds.fold(key).name == key
	finally:
		released.set()
		holder.result(10)
	assert impatient[0] == 0.01
	assert tracker(player)[stored.question_id].reps == stored.reps + 1
	assert not outbox(player)


@pytest.mark.slow
def test_a_lock_that_stays_raises_and_leaves_the_submission(season, player, impatient):
	[stored] = factories.make_records(player)
	key = put(player, season, "a", [newer(stored)])
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT name FROM `tabPlayer Memory Tracker` WHERE player = %s FOR UPDATE", (player,))
		with pytest.raises(frappe.QueryTimeoutError):
			folds.fold(key)
	assert impatient == [0.01, 0.02, 0.04]
	assert [row.name for row in outbox(player)] == [key]
	assert not outbox(player)[0].parked_at
	assert tracker(player)[stored.question_id].reps == stored.reps
	assert drain() == 1


def test_a_deadlock_is_tried_again(season, player, impatient, monkeypatch):
	"""The other one holds a row that the fold wants, then wants one that the fold holds, and has written more:
	InnoDB rolls the fold back."""
	stored = sorted(factories.make_records(player, 2), key=lambda r: name_of(player, season, r))
	key = put(player, season, "a", [newer(r) for r in stored])
	monkeypatch.setattr(folds, "LIMITS", folds.LIMITS._replace(innodb_lock_wait_timeout=20))
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SET SESSION innodb_lock_wait_timeout = 20")
		cursor.execute(
			"UPDATE `tabPlayer Memory Tracker` SET topic = 'other' WHERE name = %s",
			(name_of(player, season, stored[1]),),
		)
		make_heavy(cursor)
		folding = in_other_connection(lambda: folds.fold(key))
		wait_until(is_waiting_for_a_lock, "a fold that waits")
		cursor.execute(
			"SELECT name FROM `tabPlayer Memory Tracker` WHERE name = %s FOR UPDATE",
			(name_of(player, season, stored[0]),),
		)
		connection.rollback()
	assert folding.result(20).name == key
	assert impatient[:1] == [0.01], "there was no deadlock"
	assert all(row.reps == 2 for row in tracker(player).values())


def test_a_record_that_has_changed_is_tried_again(season, player, impatient):
	"""With snapshot isolation, which is MariaDB's default since 11.6: here after an earlier read of the same job."""
	if not frappe.db.sql("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"):
		pytest.skip("this MariaDB has no snapshot isolation")
	[stored] = factories.make_records(player)
	key = put(player, season, "a", [newer(stored)])

	def fold() -> list[OutboxRow]:
		frappe.db.sql("SET SESSION innodb_snapshot_isolation = ON")
		frappe.db.sql("SELECT COUNT(*) FROM `tabPlayer Memory Tracker`")
		with raw_connection(autocommit=True) as other, other.cursor() as cursor:
			cursor.execute(
				"UPDATE `tabPlayer Memory Tracker` SET topic = 'other' WHERE player = %s", (player,)
			)
		return folds.fold_or_park([key])

	assert [row.name for row in in_other_connection(fold).result(20)] == [key]
	assert impatient == [0.01]
	assert tracker(player)[stored.question_id].reps == stored.reps + 1


def make_heavy(cursor) -> None:
	"""InnoDB picks as victim whoever has written less."""
	for n in range(50):
		cursor.execute("INSERT INTO `tabGame Subject` (name) VALUES (%s)", (f"heavy {n}",))


def is_waiting_for_a_lock() -> bool:
	"""An upsert of two rows takes a millisecond; one that has run for 200 waits."""
	sql = """SELECT 1 FROM information_schema.PROCESSLIST
		WHERE INFO LIKE '%INSERT INTO `tabPlayer Memory Tracker`%' AND TIME_MS > 200 AND ID <> CONNECTION_ID()"""
	with raw_connection() as connection, connection.cursor() as cursor:
		return bool(cursor.execute(sql))


def name_of(player: str, season: str, record: MemoryRecord) -> str:
	return row_names.tracker_name(player, season, record.question_id)


def newer(stored: MemoryRecord) -> MemoryRecord:
	return factories.make_record(
		stored.question_id, reps=stored.reps + 1, last_review_date=factories.site_now()
	)
