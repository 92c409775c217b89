"""Notes what the question source changes: questions that are withdrawn, come back, or move to another subject or topic.

Memora's own question bank tells of each change in the change's own transaction. A host app that has questions of its own
calls note_changes and note_moves. What nobody tells of is noticed when a learner is to be asked such a question, and by
an hourly comparison with the source.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count, islice
from typing import Any

import frappe
from frappe import _

from memora.exceptions import InvalidQuestion, quoting
from memora.services.learning.plain_names import MAX_QUESTION_ID_LENGTH, plain
from memora.services.learning.question_source import get_source, is_own, is_withdrawn
from memora.services.store import database, question_status, subject_names
from memora.services.store.question_status import Status

PAGE = 500  # questions that the source is asked for at once

Content = dict[str, Any]
After = Callable[[Status | None, Content | None], Status]


def note_changes(question_ids: Iterable[str]) -> None:
	"""Notes, with the next commit, what the source says of these questions: whether they are asked, their subject and topic.

	Call it in the transaction in which questions were changed, deleted or brought back, or after it. Call it for new
	questions, too, if their ids may have been in use before. Raises InvalidQuestion for a text in place of a list.
	"""
	frappe.db.before_commit.add(partial(_note, _listed(question_ids), _as_it_is))


def note_moves(question_ids: Iterable[str]) -> None:
	"""Notes, with the next commit, the subject and topic of these questions, and leaves alone whether they are asked.

	Call it when a subject or a topic with many questions changes: others may withdraw some of them at the same time.
	Raises InvalidQuestion for a text in place of a list.
	"""
	frappe.db.before_commit.add(partial(_note, _listed(question_ids), _as_moved))


def note_subject_rename(old: str, new: str) -> None:
	"""Notes that a subject has another name by now, or is merged into another subject. Figures follow. The caller commits.

	A host app calls this beside note_moves, which tells of the questions.
	"""
	subject_names.note_rename(old, new)


def note_subject(name: str) -> None:
	"""Notes that there is a new subject, whose name another may have had before. The caller commits."""
	subject_names.note_use(name)


def note_now(question_ids: Iterable[str], wait_seconds: int = question_status.LOCK_WAIT_SECONDS) -> int:
	"""Notes what the source says of these questions by now, commits, and returns of how many that was news.

	Raises JournalUnavailable if others change questions for longer than `wait_seconds`.
	"""
	with database.transaction():
		return _note(list(question_ids), _as_it_is, wait_seconds)


def compare_with_source() -> int:
	"""Notes what the source has changed without telling; returns how many questions. Commits. Runs hourly.

	Of a host app's source this reads all questions that it teaches and all that were noted before.
	"""
	changed = 0
	for ids in _suspects():
		database.new_snapshot()
		changed += note_now(ids)
	return changed


def _listed(question_ids: Iterable[str]) -> list[str]:
	if isinstance(question_ids, str):  # whose letters would be taken for ids
		frappe.throw(quoting(_("question_ids must be a list, not {0}."), question_ids), InvalidQuestion)
	return list(question_ids)


def _suspects() -> Iterator[list[str]]:
	if is_own():
		yield from _pages(question_status.find_outdated())
		return
	ids: list[str] = []
	for page in count():
		before, ids = ids, get_source().find_questions(None, None, page * PAGE, PAGE)
		if not ids or ids == before:  # lessons ask for the first page alone: so a source may know no other
			break
		yield ids
	yield from _pages(question_status.get_ids())


def _note(
	question_ids: list[str], after: After, wait_seconds: int = question_status.LOCK_WAIT_SECONDS
) -> int:
	question_ids = [q for q in question_ids if len(q) <= MAX_QUESTION_ID_LENGTH]  # no record has a longer one
	if not question_ids:
		return 0
	question_status.hold_lock(wait_seconds)
	known = question_status.get_statuses(question_ids)
	found: dict[str, Status] = {}
	for ids in _pages(question_ids):
		content = get_source().get_questions(ids)
		found |= {q: after(known.get(q), content.get(q)) for q in ids}
	news = {q: status for q, status in found.items() if status != known.get(q)}
	asked = {q for q, status in news.items() if status.is_live != (q not in known or known[q].is_live)}
	question_status.put(news, asked)
	return len(news)


def _as_it_is(known: Status | None, content: Content | None) -> Status:
	if content is None:  # deleted: where it was last is all that is known
		return Status(False, *(known[1:] if known else (None, None)))
	return Status(not is_withdrawn(content), *_place(content))


def _as_moved(known: Status | None, content: Content | None) -> Status:
	if content is None:
		return known or Status(False, None, None)
	return Status(known.is_live if known else not is_withdrawn(content), *_place(content))


def _place(content: Content) -> tuple[str, str]:
	return plain(content.get("subject")) or "", plain(content.get("topic")) or ""


def _pages(question_ids: Iterable[str]) -> Iterator[list[str]]:
	ids = iter(question_ids)
	while page := list(islice(ids, PAGE)):
		yield page
