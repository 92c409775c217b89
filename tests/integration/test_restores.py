"""A backup is restored over a site, or becomes a second site beside it: nobody is shown what another database knows."""

import json
from collections.abc import Iterator

import frappe
import pytest

from memora import install
from memora.services import site_time
from memora.services.cache import server
from memora.services.cache.schedules import Schedules
from memora.services.folding import folds
from memora.services.learning import lessons
from memora.services.operations.doctor import examine
from tests.integration import state
from tests.integration.cleaning import srs_redis
from tests.integration.copied_site import NAME, CopiedSite
from tests.integration.factories import bank_questions, make_records
from tests.integration.submitting import answers, ids, read, submit

QUESTIONS = bank_questions()[:10]
# Of Redis: what the script asks that finds out whose the keys are, and what a client says when it connects
OF_LOOKING = {
	"evalsha",
	"eval",
	"info",
	"hmget",
	"client",
	"auth",
	"select",
	"hello",
	"command",
	"ping",
	"config",
}


@pytest.fixture(scope="module")
def copied(site, tmp_path_factory) -> Iterator[CopiedSite]:
	copied = CopiedSite(tmp_path_factory.mktemp("copy"))
	yield copied
	copied.remove()


def answer_all(learner: str) -> None:
	submit(learner, answers(questions=QUESTIONS))
	folds.drain(site_time.naive_now())
	frappe.db.commit()


def due(learner: str) -> list[str]:
	session = read(learner, limit=50)
	assert not session["is_degraded"]
	return ids(session)


def later() -> None:
	"""Has this process forget what it has read a moment ago."""
	server.server_of.cache_clear()


def test_a_backup_restored_over_the_site_shows_what_it_holds(copied, player):
	"""Case c5."""
	make_records(player, question_ids=QUESTIONS)
	copied.copy()
	copied.configure(srs_redis_namespace="copy")
	assert copied.run(lambda: due(player)) == QUESTIONS
	copied.run(lambda: answer_all(player))
	assert copied.run(lambda: due(player)) == []
	copied.restore(copied.dump)
	later()
	assert copied.run(lambda: due(player)) == QUESTIONS
	assert copied.run(lambda: due(player)) == QUESTIONS


@pytest.fixture
def shared(copied, player) -> CopiedSite:
	"""The copy has the original's keys, and both have a learner with ten due."""
	make_records(player, question_ids=QUESTIONS)
	assert due(player) == QUESTIONS
	copied.copy()
	copied.configure(srs_redis_namespace="")
	return copied


def commands() -> dict[str, int]:
	"""How often the schedules' Redis has done which command."""
	stats = srs_redis().info("commandstats")
	return {name.removeprefix("cmdstat_"): found["calls"] for name, found in stats.items()}


def test_a_copy_beside_the_site_keeps_away_from_its_keys(shared, player, season):
	"""Case c6, before `bench migrate`."""
	held, before = state.everything()["srs"], commands()
	session = shared.run(lambda: read(player, limit=50))
	assert session["is_degraded"]
	assert ids(session) == QUESTIONS[:10]
	shared.run(lambda: answer_all(player))
	assert shared.run(lambda: Schedules().clear_season(season)) is False
	done = {name for name, calls in commands().items() if calls > before.get(name, 0)}
	assert done <= OF_LOOKING
	assert state.everything()["srs"] == held
	later()
	assert due(player) == QUESTIONS
	(incident,) = shared.run(lambda: state.rows("Safe Mode Incident"))
	assert incident.reason.startswith(
		f"its keys belong to site {frappe.local.site} (database {frappe.conf.db_name} on"
	)


def test_a_copy_that_is_migrated_gets_keys_of_its_own(shared, player):
	"""Case c6. Neither site changes the other's schedules."""
	(finding,) = shared.run(lambda: [f for f in examine() if f.check == "redis_owner"])
	assert frappe.conf.db_name in finding.problem
	assert f"--site {NAME} migrate" in finding.mend
	shared.run(install.after_migrate)
	assert shared.config["srs_redis_namespace"] == NAME
	assert not shared.run(lambda: [f for f in examine() if f.check == "redis_owner"])
	before = state.everything()["srs"]
	assert shared.run(lambda: due(player)) == QUESTIONS
	shared.run(lambda: answer_all(player))
	assert shared.run(lambda: due(player)) == []
	assert due(player) == QUESTIONS
	after = state.everything()["srs"]
	assert {key: value for key, value in after.items() if NAME not in key} == before
	answer_all(player)
	assert due(player) == []


@pytest.mark.parametrize("apps", [["frappe"], ["frappe", "memora"]])
def test_the_doctor_names_a_site_under_the_same_names_if_memora_is_on_it(shared, apps):
	def install_only() -> None:
		frappe.db.set_global("installed_apps", json.dumps(apps))
		frappe.db.commit()

	shared.run(install_only)
	found = [finding.problem for finding in examine() if finding.check == "redis_namespace"]
	assert any(NAME in problem for problem in found) == ("memora" in apps)


def test_lessons_teach_what_a_restored_backup_does_not_know(copied, player):
	copied.copy()
	copied.configure(srs_redis_namespace="copy")
	first = copied.run(lambda: lesson(player))
	copied.run(lambda: submit(player, answers(questions=first)))
	assert copied.run(lambda: lesson(player)) != first
	copied.restore(copied.dump)
	later()
	assert copied.run(lambda: lesson(player)) == first


def lesson(learner: str) -> list[str]:
	frappe.db.rollback()
	return ids(lessons.read_lesson(learner, None, None, 3))
