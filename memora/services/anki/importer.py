"""Makes questions of an Anki deck. A preview shows what an import would do; a job does it.

A question's name follows from the guid of the note and the number of the card. So importing a deck again updates the
deck's questions. The whole file is read before the first question is written. Then questions are committed in batches:
a run that died or was cancelled leaves whole questions only, and the next run goes on.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import frappe
from frappe import _
from frappe.core.api.file import get_max_file_size
from frappe.model.document import Document
from frappe.utils import escape_html, strip_html

from memora.exceptions import (
	InvalidAnkiImport,
	JobStateError,
	MemoraError,
	UnknownJob,
)
from memora.services import site_time
from memora.services.anki import history
from memora.services.anki.deck import Deck, open_package
from memora.services.anki.html_text import excerpt
from memora.services.anki.writing import ImportCounts, Survey, Writer, batches, make_topic
from memora.services.learning import learners
from memora.services.operations import admin_jobs
from memora.services.operations.admin_jobs import StartedJob
from memora.services.store import database, seasons

DOCTYPE = "Anki Import"
JOB = "memora.services.anki.importer.run_import"
BATCH = 50  # questions that are committed together, in a second or two
TICKS = ("with_tags", "change_others", "overwrite_edits")
SAMPLE = 5  # questions that the preview shows
NAMED = 20  # questions changed here that the preview names


NOT_STARTED = {**asdict(ImportCounts()), "error": None, "started_at": None, "ended_at": None}


# Preview


def preview_import(doc: Document) -> None:
	"""Notes in an Anki Import what the import would do. The caller commits.

	Raises InvalidAnkiPackage, InvalidAnkiImport, JobStateError, NoActiveSeason.
	"""
	doc.reload()
	_require_idle(doc)
	with _planned(doc) as deck:
		_note_plan(doc, deck)
	doc.update({**NOT_STARTED, "status": "Draft"})
	doc.save()


def _note_plan(doc: Document, deck: Deck) -> None:
	chosen = {row.deck: row.topic for row in doc.decks}
	decks = [{"deck": d, "questions": n, "topic": chosen.get(d)} for d, n in sorted(deck.decks.items())]
	sample = [
		{"deck": i.deck, "question": _shown(i.question), "answer": _shown(i.answer)}
		for i in islice(deck.items(), SAMPLE)
	]
	survey = Survey.of(deck)
	doc.set("decks", decks)
	doc.set("problems", [asdict(problem) for problem in deck.problems()])
	doc.update(
		{
			"notes": deck.notes,
			"questions": deck.questions,
			"media": deck.media,
			"reviews": deck.answers if doc.learner else 0,
			"skipped": deck.skipped,
			"new_questions": survey.new,
			"changed_questions": survey.changed,
			"same_questions": survey.same,
			"others": "\n".join(f"{count} × {user}" for user, count in survey.others.most_common()),
			"edited": _named(survey.edited),
			"sample": json.dumps(sample),
		}
	)


def _named(questions: list[str]) -> str:
	"""Returns how many questions these are, and the names of the first."""
	more = [_("and {0} more").format(len(questions) - NAMED)] if len(questions) > NAMED else []
	return "\n".join([*questions[:NAMED], *more])


def _shown(html: str) -> str:
	return excerpt(html) or _("(picture or sound)")


def describe_package(path: Path) -> dict[str, Any]:
	"""Returns what importing a file would do: counts, questions by deck, and problems. Raises InvalidAnkiPackage."""
	with open_package(path) as deck:
		survey = Survey.of(deck)
		return {
			"notes": deck.notes,
			"questions": deck.questions,
			"media": deck.media,
			"reviews": deck.answers,
			"skipped": deck.skipped,
			"new": survey.new,
			"changed": survey.changed,
			"unchanged": survey.same,
			"others": dict(survey.others),
			"edited": survey.edited,
			"decks": deck.decks,
			"problems": [asdict(problem) for problem in deck.problems()],
		}


def upload_package(
	path: Path,
	subject: str,
	topic: str | None,
	learner: str | None,
	change_others: bool = False,
	overwrite_edits: bool = False,
) -> str:
	"""Makes an Anki Import of a file on this host; returns its name. Commits. Raises InvalidAnkiImport, UnknownLearner.

	`learner` is the e-mail or id of the learner whose review history is imported, too.
	"""
	for doctype, name in (("Game Subject", subject), ("Game Topic", topic)):
		if name and not frappe.db.exists(doctype, name):
			frappe.throw(_("There is no {0} {1}.").format(_(doctype), escape_html(name)), InvalidAnkiImport)
	learner = learners.identify(learner) if learner else None
	limit = get_max_file_size()
	if path.stat().st_size > limit:
		frappe.throw(
			_("{0} is larger than {1} MB, this site's max_file_size.").format(
				escape_html(path.name), limit >> 20
			),
			InvalidAnkiImport,
		)
	with database.transaction():
		file = {"doctype": "File", "file_name": path.name, "is_private": 1, "content": path.read_bytes()}
		url = frappe.get_doc(file).insert().file_url
		values = {
			"file": url,
			"subject": subject,
			"topic": topic,
			"learner": learner,
			"change_others": change_others,
			"overwrite_edits": overwrite_edits,
		}
		return frappe.get_doc({"doctype": DOCTYPE, **values}).insert().name


# Starting and cancelling


def start_import(doc: Document) -> StartedJob:
	"""Queues an import's job; returns {status: queued, job_id}. Commits. Raises JobStateError, QueueUnavailable."""
	doc.reload()
	_require_idle(doc)
	before = doc.status
	with database.transaction():
		doc.db_set({**NOT_STARTED, "status": "Queued", "cancel_requested": 0})
	try:
		job = admin_jobs.start_admin_job("anki", JOB, name=doc.name)
	except MemoraError:
		with database.transaction():
			doc.db_set("status", before)
		raise
	with database.transaction():  # the job may be running already, or be done
		frappe.db.set_value(DOCTYPE, doc.name, "job_id", job["job_id"], update_modified=False)
	return job


def cancel_import(doc: Document) -> None:
	"""Stops the job after its present batch. A job that no worker has begun never begins. Raises JobStateError."""
	doc.reload()
	if doc.status not in ("Queued", "Running"):
		frappe.throw(_("This import is not running."), JobStateError)
	with lock(doc.name) as is_idle:
		doc.db_set({"cancel_requested": 1, **({"status": "Cancelled"} if is_idle else {})})


def _require_idle(doc: Document) -> None:
	"""Raises JobStateError while an import runs or waits for a worker. An import whose worker was killed counts as idle."""
	with lock(doc.name) as is_idle:
		if not is_idle or (doc.status == "Queued" and _waits(doc.job_id)):
			frappe.throw(_("This import is running."), JobStateError)


def _waits(job_id: str | None) -> bool:
	if not job_id:
		return False
	try:
		return admin_jobs.get_job_status(job_id)["status"] == "queued"
	except UnknownJob:
		frappe.clear_last_message()
		return False


def lock(name: str) -> AbstractContextManager[bool]:
	"""Keeps an import from being started and changed. The block gets whether it is idle and the lock was free."""
	return database.named_lock(f"anki import {name}", wait_seconds=0)


# The job


def run_import(name: str, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
	"""Imports a file. Returns the counts, `status` and, if the import failed, `error`.

	`progress`, if given, is called with how many questions are done. Commits. Raises JobStateError if the import is
	running already.
	"""
	doc = frappe.get_doc(DOCTYPE, name)
	with lock(doc.name) as is_mine:
		if not is_mine:
			frappe.throw(_("This import is running."), JobStateError)
		doc.reload()
		return {"status": "Cancelled"} if doc.cancel_requested else _Run(doc, progress).go()


class _Run:
	def __init__(self, doc: Document, progress: Callable[[int], None] | None) -> None:
		self.doc, self.progress = doc, progress
		self.counts = ImportCounts()

	def go(self) -> dict[str, Any]:
		started = {"status": "Running", "started_at": site_time.naive_now(), "ended_at": None, "error": None}
		with database.transaction():
			self.doc.db_set(started)
		try:
			self._end(self._import())
		except MemoraError as error:
			self._end("Failed", strip_html(str(error)))
		except BaseException as error:  # a job's time limit, too: the next run goes on where this run ended
			self._end("Failed", f"{type(error).__name__}: {error}")
			raise
		result = {**asdict(self.counts), "skipped": self.doc.skipped, "status": self.doc.status}
		return {**result, "error": self.doc.error} if self.doc.error else result

	def _import(self) -> str:
		with _planned(self.doc, keep_media=True) as deck:
			self._save(lambda doc: _note_plan(doc, deck))
			topics = self._topics(deck)
			with_tags, change_others, overwrite = (bool(self.doc.get(name)) for name in TICKS)
			writer = Writer(deck, with_tags, change_others, overwrite, self.counts)
			for batch in batches(deck.items(), BATCH):
				with database.transaction():
					writer.write(batch, topics)
				if self._report():
					return "Cancelled"
			return self._import_history(deck) if self.doc.learner else "Completed"

	def _import_history(self, deck: Deck) -> str:
		questions = {item.card_id: item.question_id for item in deck.items()}
		for imported in history.write(self.doc.learner, questions, deck.reviews()):
			self.counts.reviews_imported += imported
			if self._report():
				return "Cancelled"
		return "Completed"

	def _topics(self, deck: Deck) -> dict[str, str]:
		"""Returns each deck's topic, and makes the topics that are missing."""
		chosen = {row.deck: row.topic for row in self.doc.decks}
		with database.transaction():
			return {
				name: self.doc.topic or chosen.get(name) or make_topic(self.doc.subject, name)
				for name in deck.decks
			}

	def _report(self) -> bool:
		"""Saves the counts and tells `progress`. Says whether the import is to stop."""
		with database.transaction():
			frappe.db.set_value(DOCTYPE, self.doc.name, asdict(self.counts))
		if self.progress:
			self.progress(self.counts.questions)
		return bool(frappe.db.get_value(DOCTYPE, self.doc.name, "cancel_requested"))

	def _end(self, status: str, error: str | None = None) -> None:
		frappe.db.rollback()  # drops a batch that failed; the batches before it are committed
		values = {"status": status, "error": error, "ended_at": site_time.naive_now(), **asdict(self.counts)}
		self._save(lambda doc: doc.update(values))

	def _save(self, change: Callable[[Document], object]) -> None:
		self.doc.reload()
		change(self.doc)
		self.doc.flags.by_the_job = True
		with database.transaction():
			self.doc.save(ignore_permissions=True, ignore_version=True)


@contextmanager
def _planned(doc: Document, keep_media: bool = False) -> Iterator[Deck]:
	if doc.learner:
		seasons.require_active_season()
	with open_package(_path(doc), keep_media) as deck:
		yield deck


def _path(doc: Document) -> str:
	"""Returns the path of an import's file. Raises InvalidAnkiImport for a file that is missing or may not be read."""
	for name in frappe.get_all("File", filters={"file_url": doc.file}, pluck="name"):
		file = frappe.get_doc("File", name)
		if not file.is_remote_file and file.has_permission("read") and file.exists_on_disk():
			return file.get_full_path()
	frappe.throw(
		_("There is no file {0}. Upload the .apkg again.").format(escape_html(doc.file)), InvalidAnkiImport
	)
