"""A physical backup, as docs/operations.md says, and MariaDB failed over to a copy that lacks the last answers."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import frappe
import pytest

from memora.services import site_time
from memora.services.cache import server
from memora.services.folding import folds
from memora.services.store import database, tracker
from tests.integration import mariadb_copy, state
from tests.integration.cleaning import srs_redis
from tests.integration.connections import in_thread
from tests.integration.factories import STANDING_SEASON, bank_questions, make_learner, make_records
from tests.integration.mariadb_copy import CopiedServer
from tests.integration.submitting import answers, ids, read, submit

pytestmark = pytest.mark.skipif(
	not mariadb_copy.is_installed(),
	reason="mariadb-backup is not installed (Debian's package mariadb-backup)",
)
T = TypeVar("T")
QUESTIONS = bank_questions()[:20]
SECONDS = 60
TABLES = ("Player Memory Tracker", "Player Review Log", "Memora Learner", "Review Outbox")


class Failover:
	"""A learner who has answered since the copy was made, and the way to read from the copy."""

	def __init__(self, copied: CopiedServer, learner: str) -> None:
		self.copied, self.learner = copied, learner

	def on_copy(self, action: Callable[[], T]) -> T:
		return in_thread(action, self.copied.config).result(SECONDS)

	def due(self) -> list[str]:
		session = read(self.learner, limit=50)
		assert not session["is_degraded"]
		return ids(session)

	def answer(self, questions: list[str]) -> None:
		submit(self.learner, answers(questions=questions))
		folds.drain(site_time.naive_now())
		frappe.db.commit()


def rows() -> dict[str, list]:
	return {doctype: state.rows(doctype) for doctype in TABLES}


@pytest.fixture
def failover(clean, tmp_path) -> Iterator[Failover]:
	learner = make_learner().name
	make_records(learner, question_ids=QUESTIONS)
	server.server_of.cache_clear()
	copied = CopiedServer(tmp_path)
	yield Failover(copied, learner)
	copied.stop()
	srs_redis().delete("{srs:generation}:owner")
	server.server_of.cache_clear()


def test_a_physical_backup_restores_every_row_and_a_failover_shows_what_the_copy_knows(failover):
	"""One test, because a copy of the server takes seconds."""
	assert failover.on_copy(rows) == rows()
	ours, theirs = database.get_identity(), failover.on_copy(database.get_identity)
	assert (theirs.name, theirs.server) == (
		ours.name,
		f"{ours.server.partition(':')[0]}:{failover.copied.port}/2",
	)
	assert theirs.born > ours.born

	assert failover.due() == QUESTIONS
	failover.answer(QUESTIONS[:5])
	assert failover.due() == QUESTIONS[5:]

	# This process fails over: it was the owner by the server that the keys name
	assert failover.on_copy(failover.due) == QUESTIONS
	failover.on_copy(lambda: failover.answer(QUESTIONS[10:]))
	assert failover.on_copy(failover.due) == QUESTIONS[:10]
	assert srs_redis().hget("{srs:generation}:owner", "server") == theirs.server
	stored = failover.on_copy(lambda: tracker.get_all_records(failover.learner, STANDING_SEASON))
	zone = site_time.site_zone()
	assert state.cached(failover.learner, STANDING_SEASON) == {
		q: site_time.to_epoch(record.next_review_date, zone) for q, record in stored.items()
	}

	# A process that comes late, and still asks the former server, keeps away
	server.server_of.cache_clear()
	assert read(failover.learner, limit=50)["is_degraded"]
