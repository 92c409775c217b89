"""The seeds' quickstart, call by call, as an app of the earlier system has it."""

import re
import time
from datetime import timedelta

import frappe
import pytest
import redis

from devtools.paths import PROJECT
from memora.api.reviews import get_review_session, get_reviews_safe_mode, submit_review_session
from memora.api.utils import check_rate_limit, get_active_season
from memora.exceptions import RateLimitExceeded
from memora.services.srs_persistence import persist_review_batch
from memora.services.srs_redis_manager import SRSRedisManager
from tests.integration import state
from tests.integration.factories import bank_questions, make_learner, make_records, make_season, site_now


@pytest.fixture
def user(learner) -> str:
	frappe.set_user(learner.user)
	return learner.user


def test_the_manager_has_a_connection_of_its_own(user, player, season):
	manager = SRSRedisManager()
	assert isinstance(manager.redis, redis.Redis)
	assert manager._get_redis_connection().ping()
	key = manager._make_key(user, season)
	manager.redis.zadd(key, {"q-1": time.time() - 1, "q-2": time.time() + 60})
	assert manager.redis.zrangebyscore(key, "-inf", time.time(), start=0, num=20) == ["q-1"]
	assert manager.redis.zrem(key, "q-1") == 1
	assert manager.is_available()


def read_as_in_the_quickstart(user: str, limit: int = 20) -> tuple[list[str], bool]:
	season = get_active_season()
	redis_manager = SRSRedisManager()
	if redis_manager.is_available():
		return redis_manager.get_due_items(user, season, limit), False
	if not check_rate_limit(user):
		frappe.throw("Please wait 30 seconds", exc=RateLimitExceeded)
	return get_reviews_safe_mode(user, season, limit=10), True


def test_safe_mode_check_pattern(proxy, user, player, season):
	make_records(player, 12)
	SRSRedisManager().get_due_items_with_rehydration(user, season)
	assert read_as_in_the_quickstart(user) == (bank_questions()[:12], False)
	proxy.stop()
	assert read_as_in_the_quickstart(user) == (bank_questions()[:10], True)
	with pytest.raises(RateLimitExceeded, match="30 seconds"):
		read_as_in_the_quickstart(user)
	with pytest.raises(RateLimitExceeded):  # one admission is for one read
		get_reviews_safe_mode(user, season, limit=10)


def test_get_review_session(user, player, season):
	make_records(player, 3)
	session = get_review_session(subject=None, limit=20)
	assert [q["question_id"] for q in session["questions"]] == bank_questions()[:3]
	assert (session["is_degraded"], session["season"]) == (False, season)


def test_submit_review_session(user, player, season):
	result = submit_review_session([{"question_id": q, "quality": 4} for q in bank_questions()[:3]])
	assert (result["status"], result["processed"]) == ("success", 3)
	assert result["persistence_job_id"]


def test_async_write_pattern(user, player, season):
	"""The job is done here as a worker does it; test_worker has one."""
	due = site_now().replace(microsecond=0) + timedelta(days=3)
	responses = [{"question_id": "q-1", "new_stability": 2.5, "new_next_review_date": due}]
	SRSRedisManager().add_item(user, season, responses[0]["question_id"], due.timestamp())
	job = frappe.enqueue(
		"memora.services.srs_persistence.persist_review_batch",
		queue="srs_write",
		responses=responses,
		user=user,
		season=season,
	)
	assert job.id
	done = persist_review_batch(**job.kwargs["kwargs"])
	assert done == {"success": True, "processed_count": 1, "failed_count": 0, "errors": []}
	assert state.tracker(player)["q-1"].next_review_date == due


def test_retry_count_is_taken_where_the_earlier_system_had_it(user, player, season):
	result = {"question_id": "q-1", "new_stability": 2.5, "new_next_review_date": "2027-01-01 04:00:00"}
	assert persist_review_batch([result], user, season, 2)["success"]
	assert persist_review_batch([result], user, season, retry_count=3)["success"]


def test_the_lines_of_the_guide_for_switching():
	guide = (PROJECT / "docs" / "upgrading.md").read_text().partition("## From the earlier system")[2]
	(program,) = re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
	learner = make_learner()
	make_season(season_name="2026-2027")
	frappe.set_user(learner.user)
	exec(program.replace("user@school.example", learner.user), {})
