"""Every method of the seeds, with the seeds' examples, on real Redis."""

import time
from urllib.parse import quote

import frappe
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from redis.crc import key_slot

from memora.exceptions import UnknownLearner
from memora.services.cache.connections import place
from memora.services.srs_redis_manager import SRSRedisManager
from tests.integration import state
from tests.integration.cleaning import is_of_site, srs_keys, srs_redis
from tests.integration.factories import learner_id, make_learner, make_records, make_season

pytestmark = pytest.mark.each_redis

USER, SEASON = "user@learners.example", "2024-2025"
LEARNER = learner_id(USER)
DAY = 86400
THIRTY_DAYS = 30 * DAY


@pytest.fixture(autouse=True)
def user(clean) -> None:
	make_learner(name=USER, id=LEARNER)


def keys() -> set[str]:
	return {key for key in srs_keys() if not is_of_site(key)}


def test_is_available(manager):
	assert manager.is_available() is True


def test_add_item_as_in_the_seeds(manager):
	next_review_ts = time.time() + DAY
	added = manager.add_item(
		user="user@learners.example", season="2024-2025", question_id="q-123", next_review_ts=next_review_ts
	)
	assert added is True
	assert srs_redis().zrange(f"srs:{LEARNER}:2024-2025", 0, -1, withscores=True) == [
		("q-123", next_review_ts)
	]


def test_add_item_updates_the_date(manager):
	manager.add_item(USER, SEASON, "q-1", 1000.0)
	manager.add_item(USER, SEASON, "q-1", 2000.5)
	assert manager.schedules.read_all(LEARNER, SEASON) == {"q-1": 2000.5}


def test_get_due_items_as_in_the_seeds(manager):
	now = time.time()
	manager.add_batch(
		USER, SEASON, {"later": now + DAY, "second": now - 10, "first": now - 20, "third": now - 5}
	)
	assert manager.get_due_items(user="user@learners.example", season="2024-2025", limit=15) == [
		"first",
		"second",
		"third",
	]
	assert manager.get_due_items(USER, SEASON, limit=2) == ["first", "second"]


def test_get_due_items_of_somebody_new_is_empty(manager):
	assert manager.get_due_items(make_learner().user, SEASON) == []


def test_nobody_has_no_schedule(manager):
	with pytest.raises(UnknownLearner, match="nobody@example.com"):
		manager.add_item("nobody@example.com", SEASON, "q-1", 1.0)
	assert keys() == set()


def test_get_due_items_gives_twenty_at_most_by_default(manager):
	manager.add_batch(USER, SEASON, {f"q-{i:02}": float(i) for i in range(30)})
	assert manager.get_due_items(USER, SEASON) == [f"q-{i:02}" for i in range(20)]


def test_add_batch_as_in_the_seeds(manager):
	items = {"q-123": time.time() + 86400, "q-124": time.time() + 172800, "q-125": time.time() + 259200}
	assert manager.add_batch(user="user@learners.example", season="2024-2025", items=items) is True
	assert manager.schedules.read_all(LEARNER, SEASON) == items


def test_add_batch_takes_more_than_a_script_can_unpack_at_once(manager):
	items = {f"q-{i}": float(i) for i in range(12_345)}
	assert manager.add_batch(USER, SEASON, items)
	assert manager.schedules.read_all(LEARNER, SEASON) == items


def test_add_batch_of_nothing_does_nothing(manager):
	assert manager.add_batch(USER, SEASON, {}) is True
	assert keys() == set()


def test_remove_item(manager):
	manager.add_batch(USER, SEASON, {"q-1": 1.0, "q-2": 2.0})
	assert manager.remove_item(USER, SEASON, "q-1") is True
	assert manager.schedules.read_all(LEARNER, SEASON) == {"q-2": 2.0}
	assert manager.remove_item(USER, SEASON, "q-1") is True  # not there any more: done


def test_clear_user_cache(manager, player, season):
	make_records(player, 3)
	manager.get_due_items_with_rehydration(player, season)
	assert keys() == {f"srs:{player}:{season}", state.marker_key(player, season)}
	assert manager.clear_user_cache(player, season) is True
	assert keys() == set()


def test_clear_user_cache_leaves_others_alone(manager):
	manager.add_item(USER, SEASON, "q-1", 1.0)
	manager.add_item(USER, "2025-2026", "q-1", 2.0)
	other = make_learner().name
	manager.add_item(other, SEASON, "q-1", 3.0)
	manager.clear_user_cache(USER, SEASON)
	assert keys() == {f"srs:{LEARNER}:2025-2026", f"srs:{other}:{SEASON}"}


def test_clear_season_cache_leaves_nothing_of_it_and_all_of_others(manager, season):
	learners = [make_learner().name for _ in range(3)]
	for learner in learners:
		manager.get_due_items_with_rehydration(learner, season)
		manager.add_item(learner, season, "q-1", 1.0)
	others = [f"{season}*", f"{season[:-1]}?", f"{season} "]
	for other in others:
		manager.add_item(learners[0], other, "q-1", 1.0)
	assert manager.clear_season_cache(season) is True
	assert keys() == {f"srs:{learners[0]}:{quote(other)}" for other in others}
	assert manager.clear_season_cache(others[1]) is True
	assert keys() == {f"srs:{learners[0]}:{quote(other)}" for other in (others[0], others[2])}


def test_get_cache_stats(manager):
	manager.add_batch(USER, SEASON, {"due": 1.0, "due too": 2.0, "later": time.time() + DAY})
	stats = manager.get_cache_stats(USER, SEASON)
	assert stats.keys() == {"total_items", "due_items", "memory_usage_bytes"}
	assert (stats["total_items"], stats["due_items"]) == (3, 2)
	assert stats["memory_usage_bytes"] > 0


def test_get_cache_stats_of_somebody_new(manager):
	assert manager.get_cache_stats(make_learner().user, SEASON) == {
		"total_items": 0,
		"due_items": 0,
		"memory_usage_bytes": 0,
	}


def test_get_all_scores_and_count_due_items(manager):
	later = time.time() + DAY
	manager.add_batch(USER, SEASON, {"due": 1.0, "later": later})
	assert manager.schedules.read_all(LEARNER, SEASON) == {"due": 1.0, "later": later}
	assert manager.schedules.count_due(LEARNER, SEASON) == 1
	assert manager.schedules.count_due(learner_id("nobody"), SEASON) == 0


# Lifetime


def test_a_schedule_lives_for_thirty_days(manager):
	manager.add_item(USER, SEASON, "q-1", 1.0)
	assert THIRTY_DAYS - 60 < srs_redis().ttl(f"srs:{LEARNER}:{SEASON}") <= THIRTY_DAYS


def test_a_lifetime_may_be_given(manager):
	manager.add_item(USER, SEASON, "q-1", 1.0, ttl=1000)
	assert 900 < srs_redis().ttl(f"srs:{LEARNER}:{SEASON}") <= 1000
	manager.add_batch(USER, SEASON, {"q-2": 1.0}, ttl=500)
	assert 400 < srs_redis().ttl(f"srs:{LEARNER}:{SEASON}") <= 500


def test_the_lifetime_is_a_setting(manager):
	doc = frappe.get_single("Memora Settings")
	doc.cache_ttl_days = 2
	doc.save()
	manager.add_item(USER, SEASON, "q-1", 1.0)
	assert 2 * DAY - 60 < srs_redis().ttl(f"srs:{LEARNER}:{SEASON}") <= 2 * DAY


@pytest.mark.parametrize("use", ["read", "reschedule"])
def test_every_use_renews_the_lifetime_of_schedule_and_marker(manager, player, season, use):
	make_records(player, 2)
	manager.get_due_items_with_rehydration(player, season)
	both = [f"srs:{player}:{season}", state.marker_key(player, season)]
	for key in both:
		srs_redis().expire(key, 100)
	if use == "read":
		manager.get_due_items_with_rehydration(player, season)
	else:
		assert manager.schedules.reschedule(player, season, {"q-1": 5.0}, version=0)
	assert all(srs_redis().ttl(key) > THIRTY_DAYS - 60 for key in both)


# Keys

PARTS = [
	"a",
	"A",
	"a:b",
	"a:b:c",
	":",
	"{}",
	"{a}",
	"a}",
	"*",
	"a*",
	"[a-z]",
	"?",
	"%",
	"%3A",
	"a%3Ab",
	" ",
	"a b",
	"é",
	"e\u0301",
	"موسم",
	"🎓",
	"\n",
	"a\\",
	"srs:generation",
	"loaded",
]


def test_no_two_schedules_share_a_key(manager):
	pairs = [(user, season) for user in PARTS for season in PARTS]
	made = [key for pair in pairs for key in manager.schedules.keys.pair(*pair)]
	assert len(set(made)) == 2 * len(pairs)
	assert manager.schedules.keys.generation not in made


@settings(max_examples=300, deadline=None)
@given(*[st.text(max_size=20)] * 4)
def test_no_two_schedules_share_a_key_whatever_their_names(user, season, other_user, other_season):
	assume((user, season) != (other_user, other_season))
	manager = SRSRedisManager()
	assert not set(manager.schedules.keys.pair(user, season)) & set(
		manager.schedules.keys.pair(other_user, other_season)
	)


def test_names_that_look_like_patterns_reach_nobody_else(manager):
	for user in PARTS:
		manager.schedules.add(user, "s", {"q-1": 1.0})
	manager.schedules.clear_learner("*", "s")
	manager.schedules.clear_learner("[a-z]", "*")
	left = [user for user in PARTS if manager.schedules.read_all(user, "s")]
	assert left == [user for user in PARTS if user != "*"]


def test_a_key_holds_nothing_that_a_pattern_would_take_for_a_wildcard(manager):
	for user in PARTS:
		key = manager.schedules.keys.schedule(user, user)
		assert not set(key) & set("*?[]\\{} ")
		assert key.count(":") == 2


@pytest.mark.parametrize("part", PARTS)
def test_schedule_and_marker_are_in_one_slot_of_a_cluster(manager, part):
	key, marker = manager.schedules.keys.pair(part, part)
	assert key_slot(key.encode()) == key_slot(marker.encode())


def test_ordinary_names_stay_readable(manager):
	assert manager.schedules.keys.pair(LEARNER, SEASON) == [
		f"srs:{LEARNER}:2024-2025",
		f"{{srs:{LEARNER}:2024-2025}}:loaded",
	]


def test_a_namespace_keeps_sites_apart():
	SRSRedisManager().add_item(USER, SEASON, "q-1", 1.0)
	frappe.local.conf.srs_redis_namespace = "other.site"
	other = SRSRedisManager()
	assert other.schedules.read_all(LEARNER, SEASON) == {}
	other.add_item(USER, SEASON, "q-2", 2.0)
	frappe.local.conf.srs_redis_namespace = None
	assert SRSRedisManager().schedules.read_all(LEARNER, SEASON) == {"q-1": 1.0}
	assert all("srs:" in key for key in keys())


def test_where_redis_is():
	assert place({}).url == SRSRedisManager.DEFAULT_REDIS_URL
	assert place({"redis_cache": "redis://a"}).url == "redis://a"
	assert place({"redis_cache": "redis://a", "srs_redis_cache": "redis://b"}).url == "redis://b"


def test_odd_names_work_all_the_way(manager, player):
	name = "a: {b} * 100% é 🎓"
	make_season(season_name=name)
	user = make_learner(name="weird+{user}:*@learners.example").user
	manager.add_item(user, name, "question: {1} *", 1.0)
	assert manager.get_due_items(user, name) == ["question: {1} *"]
