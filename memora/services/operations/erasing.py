"""Erases a learner, or cuts the link between her and her rows.

The order makes both restartable, and safe beside answers, folds, archive runs, rebuilds and replays:

	1. Her requests are refused from here on: `erasing_since` is set and committed. Each write of her answers looks for
	   it in its own transaction, so a submission that is under way either is committed before, or is refused.
	2. Her lock and that of archive runs are taken: whoever holds one of them finishes first.
	3. Her outbox is emptied, which waits for a fold that has taken it. Then nothing writes her rows any more.
	4. Her rows go, table by table; then documents, files and jobs that name her; then her schedules; then log files.
	5. Last goes the Memora Learner. Only then is nothing known of her but how many rows there were (Memora Erasure).

A run that dies is done again from step 2, by whoever starts it: what is gone already is not found again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import frappe
from frappe import _
from redis.exceptions import RedisError

from memora.exceptions import (
	ErasureStopped,
	InvalidErasure,
	MemoraError,
)
from memora.services import site_time
from memora.services.cache import safe_mode
from memora.services.cache.schedules import Schedules
from memora.services.learning import bookmarks, learners
from memora.services.operations import admin_jobs, archiving, learner_traces
from memora.services.operations.admin_jobs import StartedJob
from memora.services.store import database, erasures, failures, seasons
from memora.services.store import learners as stored_learners
from memora.services.store.erasures import Erased, Session

ERASE, DETACH = "Erase", "Detach"
LOCK_WAIT_SECONDS = 60  # for a request of hers, and for an archive run
JOB = "memora.services.operations.erasing.resume"

Progress = Callable[[int, int, str], None]  # steps done, steps in all, what is being done
Step = Callable[[Session, Erased], None]
FAILURES: tuple[type[Exception], ...] = (MemoraError, RedisError, OSError, *failures.ERRORS)


def count_rows(user_or_id: str) -> dict[str, int]:
	"""Returns {DocType or table: rows that name a learner}. Changes nothing. Raises UnknownLearner."""
	learner = learners.get_learner(user_or_id)
	with erasures.session() as session:
		return session.count_rows(session.describe(learner.id, learner.user))


def start_erasure(user_or_id: str, kind: str, way: str, reference: str | None = None) -> StartedJob:
	"""Begins to erase or to detach, and starts the job that does it. Commits.

	Raises UnknownLearner, InvalidErasure, LearnerIsErased, QueueUnavailable; what has begun by then stays begun.
	"""
	erasure = begin(user_or_id, kind, way, reference)
	return admin_jobs.start_only_job(kind.lower(), erasure, JOB, erasure=erasure)  # which names nobody


def run(
	user_or_id: str, kind: str, way: str, reference: str | None = None, progress: Progress | None = None
) -> dict[str, Any]:
	"""Erases or detaches a learner; see resume. Goes on with what has begun before. Commits.

	Raises UnknownLearner, InvalidErasure, LearnerIsErased.
	"""
	return resume(begin(user_or_id, kind, way, reference), progress)


def resume_unfinished() -> None:
	"""Starts the job of each erasure and detachment that has not ended, unless it waits or runs. Runs hourly.

	Raises QueueUnavailable.
	"""
	for row in frappe.get_all("Memora Erasure", {"status": "Running"}, ["name", "kind"]):
		admin_jobs.start_only_job(row.kind.lower(), row.name, JOB, erasure=row.name)


def begin(user_or_id: str, kind: str, way: str, reference: str | None = None) -> str:
	"""Notes that a learner is being erased or detached, and returns the name of the Memora Erasure. Commits.

	From here on nothing of hers is read or stored, or it is nobody's. Raises UnknownLearner; InvalidErasure if the
	reference names her; LearnerIsErased if she is to be detached while she is being erased.
	"""
	_new_snapshot()  # also lets go of what the caller has locked: a request about a document locks the document
	learner = learners.get_learner(user_or_id)
	_check_reference(reference, learner)
	with erasures.session() as session:
		erasure = session.begin(learner.id, kind, way, reference, site_time.naive_now())
	_new_snapshot()  # in which the caller sees that it has begun
	return erasure or learners.unknown(user_or_id)


def resume(erasure: str, progress: Progress | None = None) -> dict[str, Any]:
	"""Does what is left of an erasure or detachment. Returns {erasure, removed: {where: how much}, error?}. Commits.

	`progress`, if given, is called before each step. An `error` says why the run has stopped; start it again.
	"""
	result: dict[str, Any] = {"erasure": erasure}
	with erasures.session() as session:
		try:
			if erased := session.find(erasure):
				_go(session, erased, progress)
		except FAILURES as error:
			session.fail(erasure, _text(error))
			result["error"] = _text(error)
		result["removed"] = session.get_counts(erasure)
	_new_snapshot()
	return result


def _go(session: Session, erased: Erased, progress: Progress | None) -> None:
	steps = ERASING if erased.kind == ERASE else DETACHING
	frappe.logger("memora").info(f"{erased.kind}: {erased.erasure}")
	with _alone(erased.id):
		for number, (name, step) in enumerate(steps.items()):
			_report(erased, number, len(steps), name, progress)
			step(session, erased)
		session.finish(erased, site_time.naive_now(), keeps_learner=erased.kind == DETACH)
	_report(erased, len(steps), len(steps), "", progress)


@contextmanager
def _alone(learner: str) -> Iterator[None]:
	"""Waits for requests of hers and for an archive or retention run, and keeps later ones away."""
	with database.named_lock(learner, LOCK_WAIT_SECONDS) as is_mine:
		if not is_mine:
			frappe.throw(_("A request of this learner does not end. Try again."), ErasureStopped)
		with database.named_lock(archiving.LOCK, LOCK_WAIT_SECONDS) as is_mine:
			if not is_mine:
				frappe.throw(
					_("An archive or retention run is going on. Try again when it is done."), ErasureStopped
				)
			yield


# Steps


def _named(doctype: str) -> Step:
	return lambda session, erased: session.delete_named(erased, doctype)


def _of_player(doctype: str) -> Step:
	return lambda session, erased: session.delete_of_player(erased, f"tab{doctype}", doctype)


def _other_tables(session: Session, erased: Erased) -> None:
	for table in erasures.find_other_tables():
		session.delete_of_player(erased, table, table)


def _traces(label: str, action: Callable[[Erased], int]) -> Step:
	def step(session: Session, erased: Erased) -> None:
		_new_snapshot()
		count = action(erased)
		_commit()
		session.add(erased.erasure, label, count)

	return step


def _cut_link(session: Session, erased: Erased) -> None:
	session.cut_link(erased, site_time.naive_now())


def _forget_schedules(session: Session, erased: Erased) -> None:
	names = frappe.get_all("Game Subscription Season", pluck="name")
	schedules = Schedules()
	for name in erased.names:
		safe_mode.forget_learner(name)
		bookmarks.forget(name)
		is_cleared = all(schedules.clear_learner(name, season) for season in names)
		if not is_cleared and seasons.uses_redis():
			frappe.throw(
				_(
					"The Redis for schedules can't be reached, so it still holds schedules of hers. Try again."
				),
				ErasureStopped,
			)


def _clear_caches(session: Session, erased: Erased) -> None:
	for learner in erased.ids:
		frappe.clear_document_cache("Memora Learner", learner)


DOCUMENTS: dict[str, Step] = {
	"Former addresses": _traces(
		"Memora Former Address", lambda e: learner_traces.forget_former_addresses(e.ids)
	),
	"Anki Import": _traces("Anki Import", lambda e: learner_traces.delete_imports(e.names)),
	"Prepared Report": _traces("Prepared Report", lambda e: learner_traces.delete_reports(e.names)),
	"File": _traces("File", lambda e: learner_traces.delete_exports(e.ids)),
}
ERASING: dict[str, Step] = {
	**{doctype: _named(doctype) for doctype in erasures.BY_NAME},
	"Other tables": _other_tables,
	**{doctype: _of_player(doctype) for doctype in erasures.BY_PLAYER},
	**DOCUMENTS,
	"Logs": _traces("Frappe's logs", lambda e: learner_traces.delete_notes_of_frappe(e.ids)),
	"Jobs": _traces("Jobs", lambda e: learner_traces.delete_jobs(e.names)),
	"Redis": _forget_schedules,
	"Log files": _traces("Log files", lambda e: learner_traces.redact_logs(e.ids, e.user)),
	"Caches": _clear_caches,
}
DETACHING: dict[str, Step] = {
	**DOCUMENTS,
	"Link": _cut_link,
	"Redis": _forget_schedules,
	"Caches": _clear_caches,
}


# Helpers


def _check_reference(reference: str | None, learner: stored_learners.Learner) -> None:
	names = filter(None, (learner.id, learner.user, learner.learner_name))
	if reference and any(name.lower() in reference.lower() for name in names):
		frappe.throw(
			_("The reference names the learner. It is kept for ever: write a number or a date."),
			InvalidErasure,
		)


def _report(erased: Erased, done: int, steps: int, name: str, progress: Progress | None) -> None:
	if progress:
		progress(done, steps, name)
	state = {"percent": 100 * done / steps, "description": _(name) if name else ""}
	with suppress(RedisError):
		frappe.publish_realtime("memora_erasure", state, doctype="Memora Learner", docname=erased.id)


def _new_snapshot() -> None:
	if database.takes_commits():
		database.new_snapshot()


def _commit() -> None:
	if database.takes_commits():
		frappe.db.commit()  # each step's documents are gone before the next step begins


def _text(error: BaseException) -> str:
	return frappe.utils.strip_html(str(error)) or type(error).__name__
