"""No season uses Redis (enable_redis is 0), and there is none: nobody opens an incident, and nothing complains."""

from collections.abc import Iterator
from typing import Any

import frappe
import pytest

from devtools import ports
from memora.exceptions import SeasonStateError
from memora.services import srs_reconciliation
from memora.services.cache import outdated, settling
from memora.services.cache.status import get_cache_status
from memora.services.folding import folds
from memora.services.operations import archiving, doctor, erasing, health, metrics
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import seasons
from tests.integration import state
from tests.integration.factories import bank_questions, make_learner, make_records, make_season
from tests.integration.submitting import answers, ids, read, submit

SEASON = "Game Subscription Season"


def use_redis(season: str, is_used: bool) -> None:
	"""An administrator does this by the form."""
	frappe.db.rollback()
	frappe.get_doc(SEASON, season).update({"enable_redis": int(is_used)}).save()
	frappe.db.commit()


@pytest.fixture
def unused(season) -> Iterator[str]:
	use_redis(season, False)
	yield season
	use_redis(season, True)


@pytest.fixture
def nowhere(monkeypatch) -> Iterator[None]:
	"""The schedules' Redis is where nobody listens."""
	monkeypatch.setitem(frappe.local.conf, "srs_redis_cache", f"redis://127.0.0.1:{ports.any_free()}/0")


def test_nobody_opens_an_incident(unused, player, nowhere):
	make_records(player, 3)
	submit(player, answers(1))
	for row in state.outbox(player):
		folds.fold(row.name)
	folds.sweep_outbox()
	outdated.settle_outages()
	settling.renew_claim()
	srs_reconciliation.reconcile_cache_with_database()
	health.watch()
	metrics.render_metrics()
	get_cache_status()
	archived = make_season(enable_redis=0)
	archiving.archive_season(archived.name)
	assert read(player)["is_degraded"] is False
	assert not state.rows("Outdated Schedule")
	SRSRedisManager().clear_user_cache(player, unused)
	assert not state.rows("Safe Mode Incident")


def test_no_note_of_an_outdated_schedule_stays(unused, player, nowhere):
	"""Some changes are told to Redis whatever season they are of."""
	SRSRedisManager().clear_user_cache(player, unused)
	assert state.rows("Outdated Schedule")
	outdated.settle_outages()
	assert not state.rows("Outdated Schedule")


def test_health_and_doctor_say_that_none_is_used(unused, nowhere):
	found = health.get_health()
	for check in ("schedules_redis", "redis_memory", "safe_mode"):
		assert found["checks"][check]["status"] == "ok"
	assert found["checks"]["schedules_redis"]["message"] == "No season uses the Redis for schedules."
	assert "memora_redis_up{" not in metrics.render_metrics()[0].decode()
	assert [f for f in doctor.examine() if "redis" in f.check and "srs" in f.problem] == []
	assert doctor.get_notes() == ["No season uses the Redis for schedules."]


def test_a_learner_can_be_erased(unused, nowhere):
	learner = make_learner()
	make_records(learner.name, 1)
	assert "error" not in erasing.run(learner.user, erasing.ERASE, "Command")
	assert not frappe.db.exists("Memora Learner", learner.name)


def test_switching_redis_off_ends_the_incident(season, player, nowhere):
	read(player)
	assert state.rows("Safe Mode Incident", ended_at=None)
	use_redis(season, False)
	try:
		assert not state.rows("Safe Mode Incident", ended_at=None)
	finally:
		frappe.db.set_value(SEASON, season, "enable_redis", 1)
		frappe.db.commit()


def test_an_incident_of_a_redis_that_is_used_no_more_ends_by_itself(season, nowhere, player):
	"""Somebody has changed the season past the form."""
	read(player)
	frappe.db.set_value(SEASON, season, "enable_redis", 0)
	frappe.db.commit()
	outdated.settle_outages()
	try:
		assert not state.rows("Safe Mode Incident", ended_at=None)
	finally:
		frappe.db.set_value(SEASON, season, "enable_redis", 1)
		frappe.db.commit()


def test_schedules_from_before_are_not_believed(season, player):
	"""While Redis is not used, it is told nothing."""
	make_records(player, 3)
	assert len(ids(read(player))) == 3
	use_redis(season, False)
	submit(player, answers(1))
	later = bank_questions()[5]
	make_records(player, question_ids=[later])
	use_redis(season, True)
	assert sorted(ids(read(player))) == sorted([*bank_questions()[1:3], later])


def test_a_season_does_not_begin_to_use_a_redis_that_is_gone(season, player, monkeypatch):
	"""Nobody could say that the schedules in it are old."""
	make_records(player, 3)
	read(player)
	use_redis(season, False)
	later = bank_questions()[5]
	make_records(player, question_ids=[later])
	with monkeypatch.context() as gone:
		gone.setitem(frappe.local.conf, "srs_redis_cache", f"redis://127.0.0.1:{ports.any_free()}/0")
		with pytest.raises(SeasonStateError, match="Redis can't be reached"):
			use_redis(season, True)
	use_redis(season, True)
	assert later in ids(read(player))


@pytest.mark.parametrize(
	("made", "is_used"),
	[
		([], True),
		([{"is_active": 1, "enable_redis": 0}, {"enable_redis": 1}], False),
		([{"is_active": 1, "enable_redis": 1}, {"enable_redis": 0}], True),
		([{"enable_redis": 0}, {"enable_redis": 1}], True),
		([{"enable_redis": 0}], False),
		([{"enable_redis": 0}, {"enable_redis": 1, "archived_at": "2026-01-01"}], False),
	],
)
def test_the_active_season_decides(made: list[dict[str, Any]], is_used: bool):
	"""In a transaction that is undone."""
	frappe.db.rollback()
	frappe.db.sql(f"DELETE FROM `tab{SEASON}`")
	for number, values in enumerate(made):
		frappe.get_doc(
			{"doctype": SEASON, "name": str(number), "season_name": str(number), **values}
		).db_insert()
	assert seasons.uses_redis() is is_used
	frappe.db.rollback()
