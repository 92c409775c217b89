"""An Anki Import as a job: it is started, cancelled, killed and started again; and the bench command that does the same."""

import json

import frappe
import pytest

from memora.exceptions import JobStateError, QueueUnavailable
from memora.services.anki import importer
from memora.services.operations import admin_jobs
from tests.integration import bench_commands
from tests.integration.anki_decks import DOCTYPE, SUBJECT, fresh, imported, make_import
from tests.integration.connections import in_other_connection
from tests.integration.factories import make_learner, make_topic
from tests.integration.waiting import wait_until


def test_a_run_is_cancelled_and_the_next_goes_on(deck, monkeypatch):
	monkeypatch.setattr(importer, "BATCH", 2)
	doc = make_import(deck)

	# the request that cancels ends with a commit
	def cancelling(done: int) -> None:
		if done == 2:
			in_other_connection(
				lambda: (frappe.get_doc(DOCTYPE, doc.name).cancel_import(), frappe.db.commit())
			).result(20)

	assert importer.run_import(doc.name, cancelling)["status"] == "Cancelled"
	assert (len(imported()), fresh(doc).created) == (2, 2)
	frappe.db.set_value(DOCTYPE, doc.name, "cancel_requested", 0)
	importer.run_import(doc.name)
	doc = fresh(doc)
	assert (doc.status, doc.created, doc.unchanged) == ("Completed", 4, 2)
	assert sorted(q.position for q in imported()) == [1, 2, 3, 4, 5, 6]


def test_while_it_runs_nobody_starts_changes_or_deletes_it(deck):
	doc = make_import(deck)
	refused = []

	def interfere(_done: int) -> None:
		for action in ("start", "preview", "save", "delete"):
			with pytest.raises(JobStateError, match="is running"):
				in_other_connection(
					lambda action=action: getattr(frappe.get_doc(DOCTYPE, doc.name), action)()
				).result(20)
			refused.append(action)

	assert importer.run_import(doc.name, interfere)["status"] == "Completed"
	assert "delete" in refused
	with pytest.raises(JobStateError, match="is not running"):
		doc.cancel_import()


def test_one_whose_worker_was_killed_is_started_again(deck):
	doc = make_import(deck)
	frappe.db.set_value(DOCTYPE, doc.name, "status", "Running")
	assert doc.start()["status"] == "queued"
	with pytest.raises(JobStateError, match="is running"):
		doc.start()
	doc.cancel_import()
	assert (importer.run_import(doc.name)["status"], imported()) == ("Cancelled", [])


def test_a_worker_imports_what_a_manager_starts(deck, long_worker):
	manager = make_learner(roles=["Memora Manager"]).user
	frappe.set_user(manager)
	doc = make_import(deck)
	started = doc.start()
	assert started["status"] == "queued"
	wait_until(lambda: frappe.db.rollback() or fresh(doc).status == "Completed", "the import")
	assert fresh(doc).created == 6
	assert {frappe.db.get_value("Game Question", q.name, "owner") for q in imported()} == {manager}


def test_without_a_queue_it_is_not_queued(deck, monkeypatch):
	def refuse() -> None:
		raise admin_jobs.RedisError("nobody listens")

	monkeypatch.setattr(admin_jobs, "reach_queue", refuse)
	doc = make_import(deck)
	with pytest.raises(QueueUnavailable):
		doc.start()
	assert fresh(doc).status == "Draft"


# The command


def test_the_command_says_what_would_be_and_imports(deck):
	before = frappe.db.count(DOCTYPE)
	exit_code, found = command(str(deck), "--dry-run")
	assert (exit_code, found["questions"], found["decks"], found["problems"]) == (
		0,
		6,
		{"Geo::Europe": 6},
		[],
	)
	assert (frappe.db.count(DOCTYPE), imported()) == (before, [])
	exit_code, refused = command(str(deck), "--subject", "No Such Subject")
	assert (exit_code, "No Such Subject" in refused["error"]) == (1, True)
	make_topic(SUBJECT, "Standing")
	frappe.db.commit()
	exit_code, done = command(str(deck), "--subject", SUBJECT, "--topic", f"{SUBJECT}: Standing")
	assert (exit_code, done["status"], done["created"]) == (0, "Completed", 6)
	frappe.db.rollback()
	assert {q.topic for q in imported()} == {f"{SUBJECT}: Standing"}


def command(*args: str) -> tuple[int, dict]:
	frappe.db.rollback()
	done = bench_commands.run("--site", frappe.local.site, "memora", "import-anki", *args, "--json")
	assert done.stdout, done.exception
	return done.exit_code, json.loads(done.stdout)
