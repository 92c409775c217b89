"""What the scheduler has done by jobs of the queue `long`: once at a time, again if it was cut off, and managers hear of it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import frappe
import pytest
from frappe.utils import background_jobs
from rq.job import Job, JobStatus
from rq.utils import utcformat

from devtools import ports, processes
from memora.services import srs_archiver
from memora.services.operations import admin_jobs, doctor_jobs, scheduled_jobs
from tests.integration import state
from tests.integration.archiving import (
	ARCHIVE,
	make_ended_season,
	make_late_submission,
	rows_by_table,
	stored,
)
from tests.integration.connections import raw_connection
from tests.integration.factories import make_learner
from tests.integration.waiting import wait_until

ENTRY = "memora.services.srs_archiver.process_auto_archive"
TRIES_OUT = 4  # seconds, in which a worker begins an archive run that then waits for a row


@pytest.fixture
def manager() -> str:
	return make_learner(roles=["Memora Manager"]).user


def told(manager: str) -> list[str]:
	return [log.email_content for log in state.rows("Notification Log", for_user=manager)]


def job() -> Job | None:
	return background_jobs.get_job(scheduled_jobs.job_id_of("archive"))


def ids_in_queue(queue: str) -> list[str]:
	return background_jobs.get_queue(queue).get_job_ids()


@contextmanager
def unfoldable(season: str) -> Iterator[None]:
	"""A submission of the season that somebody is folding, for as long as the block goes on: its archive run waits."""
	name = make_late_submission(season)
	with raw_connection() as other, other.cursor() as cursor:
		other.begin()
		cursor.execute("SELECT name FROM `tabReview Outbox` WHERE name = %s FOR UPDATE", (name,))
		yield
		other.rollback()


def test_the_schedulers_entry_queues_one_job_that_archives():
	ended = make_ended_season(4, auto_archive=1)
	entry = frappe.get_doc("Scheduled Job Type", {"method": ENTRY})
	with processes.worker(["default"]):
		for _day in range(2):
			entry.enqueue(force=True)
			wait_until(lambda: not ids_in_queue("default") and not entry.is_job_in_queue(), "the entry's end")
	assert rows_by_table(ended).keys() != {ARCHIVE}
	assert ids_in_queue("long") == [background_jobs.create_job_id(scheduled_jobs.job_id_of("archive"))]
	with processes.worker(["long"]):
		wait_until(lambda: stored(ended).archived_at, "the archive run")
	assert rows_by_table(ended).keys() == {ARCHIVE}


def test_a_call_that_is_not_the_schedulers_works_at_once():
	make_ended_season(4, auto_archive=1)
	assert srs_archiver.process_auto_archive()["archived_seasons"] == 1
	assert srs_archiver.flag_eligible_for_deletion()["success"]
	assert not ids_in_queue("long")


@pytest.mark.parametrize(("end", "attempt"), [("time", 1), ("kill", scheduled_jobs.MOST_ATTEMPTS)])
def test_a_job_that_was_cut_off_is_told_of_and_begins_again(manager, monkeypatch, end, attempt):
	ended = make_ended_season(4, auto_archive=1)
	if end == "time":
		monkeypatch.setattr(admin_jobs, "TIMEOUT_SECONDS", TRIES_OUT)
	with unfoldable(ended), processes.worker(["long"]) as worker:
		scheduled_jobs.start_scheduled("archive", attempt)
		wait_until(lambda: stored(ended).archive_step == 1 or job().is_failed, "the archive run to wait")
		if end == "kill":
			os.kill(work_horse(worker.pid), signal.SIGKILL)
		wait_until(lambda: job().is_failed, "its end")
	scheduled_jobs.resume_unfinished()
	scheduled_jobs.resume_unfinished()  # managers are told once
	(text,) = told(manager)
	assert text.startswith("Archiving of seasons that are over: ")
	assert ("Its worker was killed." in text) == (end == "kill")
	assert ("JobTimeoutException" in text) == (end == "time")
	if end == "kill":
		assert not ids_in_queue("long")  # there were enough attempts: the next is tomorrow's
		scheduled_jobs.start_scheduled("archive")
	else:
		assert stored(ended).archive_status.startswith("Stopped: ")
	monkeypatch.undo()
	frappe.db.sql("DELETE FROM `tabReview Outbox`")
	frappe.db.commit()
	with processes.worker(["long"]):
		wait_until(lambda: stored(ended).archived_at, "the second run")


def work_horse(pid: int) -> int:
	(child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
	return int(child)


def test_without_a_queue_managers_are_told_each_time(manager, queue_url):
	queue_url(f"redis://127.0.0.1:{ports.any_free()}/0")
	for _day in range(2):
		scheduled_jobs.start_scheduled("flag")
	scheduled_jobs.resume_unfinished()
	assert len(told(manager)) == 2
	assert "It could not be queued: " in told(manager)[0]


def test_a_job_that_redis_has_lost_is_queued_again():
	scheduled_jobs.start_scheduled("archive")
	background_jobs.get_queue("long").connection.delete("rq:queue:" + background_jobs.get_queue("long").name)
	assert job().get_status() == "queued"
	scheduled_jobs.start_scheduled("archive")
	assert len(ids_in_queue("long")) == 1


def test_a_job_that_died_with_all_workers_is_told_of_and_queued_again(manager):
	scheduled_jobs.start_scheduled("archive")
	dead, queue = job(), background_jobs.get_queue("long")
	queue.remove(dead.id)
	dead.set_status(JobStatus.STARTED)
	scheduled_jobs.start_scheduled("archive")
	assert not ids_in_queue("long")  # as far as anybody knows, it runs
	long_ago = datetime.now(timezone.utc) - timedelta(hours=7)
	queue.connection.hset(dead.key, "last_heartbeat", utcformat(long_ago))
	assert "did not finish" in next(doctor_jobs.long_jobs())[0]
	scheduled_jobs.resume_unfinished()
	assert len(ids_in_queue("long")) == 1
	assert "Its worker was killed." in told(manager)[0]


def test_a_job_that_still_waits_at_its_next_turn_is_told_of(manager):
	scheduled_jobs.start_scheduled("archive")
	waiting = job()
	scheduled_jobs.start_scheduled("archive")
	assert told(manager) == []
	assert job().enqueued_at == waiting.enqueued_at  # it keeps its place
	waiting.enqueued_at -= timedelta(hours=23)
	waiting.save()
	scheduled_jobs.start_scheduled("archive")
	assert "It waits for a worker of the queue long." in told(manager)[0]
