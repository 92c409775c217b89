"""Each script on every state in which a schedule may be, against what the docstrings say of both keys.

A schedule of another learner is beside it, and stays as it is.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from memora.services.cache import loading, scripts
from memora.services.cache.schedules import DueItems, Schedules, flat
from memora.services.store.question_status import Changes
from tests.integration import state
from tests.integration.cleaning import srs_redis
from tests.integration.factories import learner_id
from tests.integration.test_srs_redis_manager import THIRTY_DAYS

LEARNER, OTHER = learner_id("states"), learner_id("beside")
SOON_GONE = 100  # seconds that both keys have left before each step
VERSION = 5
DATES = {"a": 1.0, "b": 2.0, "later": 4e9}
WHOLE, WHOLE_AND_EMPTY, OLDER = "{generation}#5", "{generation}#5:empty", "0123456789ab.older#5"
LOADING, MINE = "loading:another", "loading:mine"
MARKERS = [None, WHOLE, WHOLE_AND_EMPTY, OLDER, LOADING]


class Both(NamedTuple):
	"""What is in the two keys of a schedule. Without dates there is no ZSET."""

	dates: dict[str, float]
	marker: str | None

	@property
	def is_whole(self) -> bool:
		return self.marker == WHOLE_AND_EMPTY or (self.marker == WHOLE and bool(self.dates))


NOTHING = Both({}, None)
STATES = [Both(dates, marker) for dates in ({}, DATES) for marker in MARKERS]


class Schedule:
	"""A schedule that can be put into a state, and looked at."""

	def __init__(self, season: str) -> None:
		self.season, self.schedules = season, Schedules()
		self.keys = self.schedules.keys.pair(LEARNER, season)
		self.generation = state.generation()

	def put(self, both: Both) -> None:
		client = srs_redis()
		client.delete(*self.keys)
		if both.dates:
			client.zadd(self.keys[0], both.dates)
		if both.marker:
			client.set(self.keys[1], both.marker.format(generation=self.generation))
		for key in self.keys:
			client.expire(key, SOON_GONE)

	@property
	def both(self) -> Both:
		dates, marker = state.cached(LEARNER, self.season), srs_redis().get(self.keys[1])
		return Both(dates, marker.replace(self.generation, "{generation}") if marker else None)

	def lives(self, *at_least: int) -> bool:
		"""Says whether ZSET and marker, where they are there, live for so many seconds, and hardly longer."""
		lifetimes = [srs_redis().ttl(key) for key in self.keys]
		return all(
			life == -2 or max(least - 60, 0) < life <= least
			for life, least in zip(lifetimes, at_least, strict=True)
		)

	def run(self, script: scripts.Script, *arguments: Any) -> Any:
		return scripts.run_script(self.schedules.gateway.server.client, script, self.keys, arguments)

	def epoch(self) -> str:
		return self.schedules.gateway.epoch(self.schedules.gateway.server.client)


@pytest.fixture
def schedule(season) -> Iterator[Schedule]:
	schedule = Schedule(season)
	schedule.schedules.is_available()
	keys = schedule.schedules.keys.pair(OTHER, season)
	srs_redis().zadd(keys[0], DATES)
	srs_redis().set(keys[1], f"{schedule.generation}#{VERSION}")
	yield schedule
	assert state.cached(OTHER, season) == DATES
	assert srs_redis().get(keys[1]) == f"{schedule.generation}#{VERSION}"


def each_state(schedule: Schedule, step: Callable[[], Any]) -> Iterator[tuple[Both, Any]]:
	"""Yields each state with what the step, taken in it, returns."""
	for before in STATES:
		schedule.put(before)
		yield before, step()


def test_dates_that_are_added_end_a_load_and_nothing_else(schedule):
	items = {"b": 7.0, "new": 8.0}
	for before, is_done in each_state(
		schedule, lambda: schedule.schedules.add(LEARNER, schedule.season, items, ttl=1000)
	):
		assert is_done
		marker = None if before.marker == LOADING else before.marker
		assert schedule.both == Both({**before.dates, **items}, marker)
		assert schedule.lives(1000, SOON_GONE)


@pytest.mark.parametrize("version", [VERSION - 1, VERSION, VERSION + 1])
def test_an_answer_is_applied_to_a_schedule_that_is_whole_and_of_no_later_version(schedule, version):
	items = {"b": 7.0, "new": 8.0}
	for before, is_done in each_state(
		schedule, lambda: schedule.schedules.reschedule(LEARNER, schedule.season, items, version)
	):
		assert is_done
		is_applied = before.is_whole and version >= VERSION
		assert schedule.both == (Both({**before.dates, **items}, WHOLE) if is_applied else NOTHING)
		assert schedule.lives(THIRTY_DAYS, THIRTY_DAYS)


def test_moved_dates_change_what_is_there_and_add_nothing(schedule):
	moved = {LEARNER: {"b": 7.0, "new": 8.0}}
	for before, is_done in each_state(schedule, lambda: schedule.schedules.move(schedule.season, moved)):
		assert is_done
		dates = {**before.dates, "b": 7.0} if before.dates else {}
		is_applied = before.marker in (WHOLE, WHOLE_AND_EMPTY)
		assert schedule.both == (Both(dates, before.marker) if is_applied else NOTHING)


# (first, last, withdrawals by version): of versions after `first` the reader knows all changes


@pytest.mark.parametrize(
	("first", "last", "withdrawn"),
	[
		(5, 6, {"a": 6}),
		(4, 7, {"a": 5, "b": 6, "unknown": 7}),
		(0, 6, dict.fromkeys(DATES, 6)),
		(6, 7, {"a": 7}),  # something else may have changed between 5 and 6
		(4, 5, {"a": 5}),  # it agrees already
		(0, 0, {}),
	],
)
def test_a_read_takes_out_what_was_withdrawn_since(schedule, first, last, withdrawn):
	changes = Changes(last, first, [(version, q, False) for q, version in withdrawn.items()])
	for before, due in each_state(
		schedule, lambda: schedule.schedules.read_due(LEARNER, schedule.season, 1, changes)
	):
		after = before
		if first <= VERSION < last and (before.is_whole or (before.marker == OLDER and before.dates)):
			left = {q: score for q, score in before.dates.items() if withdrawn.get(q, 0) <= VERSION}
			marker = before.marker.replace("#5", f"#{last}")
			after = Both(left, marker if left or ":empty" in marker else f"{marker}:empty")
		assert schedule.both == after
		assert schedule.lives(THIRTY_DAYS, THIRTY_DAYS)
		ids = [q for q in ("a", "b") if q in after.dates]
		assert (due["question_ids"], due["total_due"]) == (ids[:1], len(ids))
		assert due["is_loaded"] == before.is_whole
		assert due["version"] == (last if after != before else VERSION if "#5" in str(before.marker) else -1)


@pytest.mark.parametrize(
	("version", "withdrawn", "items"),
	[
		(VERSION, ["a"], {"later": 3.0, "again": 9.0}),
		(VERSION, [*DATES], {}),
		(VERSION - 1, ["a"], {"again": 9.0}),
	],
)
def test_a_schedule_is_caught_up_only_from_the_version_that_was_read(schedule, version, withdrawn, items):
	due: Any = {"generation": schedule.generation, "version": version}

	def catch_up() -> bool:
		return schedule.schedules.catch_up(LEARNER, schedule.season, DueItems(**due), 8, withdrawn, items)

	for before, is_done in each_state(schedule, catch_up):
		assert is_done == (before.is_whole and version == VERSION)
		if not is_done:
			assert schedule.both == before
			continue
		kept = {q: score for q, score in before.dates.items() if q not in withdrawn}
		dates = {**items, **kept}  # an answer meanwhile has added the newer date
		assert schedule.both == Both(dates, "{generation}#8" if dates else "{generation}#8:empty")
		assert schedule.lives(THIRTY_DAYS, THIRTY_DAYS)


@pytest.mark.parametrize("is_forced", [True, False])
def test_a_load_claims_what_is_not_whole(schedule, is_forced):
	for before, granted in each_state(
		schedule, lambda: schedule.run(scripts.BEGIN_LOAD, schedule.epoch(), MINE, 50, int(is_forced))
	):
		if not is_forced and (before.is_whole or before.marker == LOADING):
			assert (granted, schedule.both) == ("", before)
			assert schedule.lives(SOON_GONE, SOON_GONE)
			continue
		assert granted == schedule.generation
		is_kept = before.marker is None and not is_forced  # dates that somebody added
		assert schedule.both == Both(before.dates if is_kept else {}, MINE)
		assert schedule.lives(SOON_GONE, 50)


@pytest.mark.parametrize("items", [{}, {"b": 7.0, "new": 8.0}])
def test_a_load_is_stored_while_its_claim_holds(schedule, items):
	for before in (Both(dates, MINE) for dates in ({}, DATES)):
		schedule.put(before)
		assert schedule.run(scripts.FINISH_LOAD, schedule.generation, MINE, 1000, 8, *flat(items)) == 1
		dates, version = {**before.dates, **items}, 0 if before.dates else 8
		assert schedule.both == Both(dates, f"{{generation}}#{version}{'' if dates else ':empty'}")
		assert schedule.lives(1000, 1000)


def test_a_load_is_not_stored_once_its_claim_has_ended_or_another_server_has_granted_it(schedule):
	arguments = [MINE, 1000, 8, *flat({"b": 7.0})]
	for before, is_stored in each_state(
		schedule, lambda: schedule.run(scripts.FINISH_LOAD, schedule.generation, *arguments)
	):
		assert (is_stored, schedule.both) == (0, before)
	schedule.put(Both(DATES, MINE))
	assert schedule.run(scripts.FINISH_LOAD, "0123456789ab.later", *arguments) == 0
	assert schedule.both == Both(DATES, MINE)


@pytest.mark.parametrize(
	("noted", "present"),
	[
		({}, {}),
		({"a": 1.0}, {"a": 7.0}),
		({"b": 2.0, "a": 7.0}, {"a": 1.0}),  # a newer answer has replaced it
		({"b": 2.0, "a": 7.0}, {"a": 8.0}),
		({"a": 1.0, "new": 8.0}, {"new": 8.0}),
	],
)
def test_a_schedule_that_lacks_a_present_date_is_dropped(schedule, noted, present):
	owned, asked = {(LEARNER, schedule.season): noted}, []

	def truth(of: tuple[str, str]) -> dict[str, float]:
		asked.append(of)
		return present

	def lacks(before: Both, dates: dict[str, float]) -> bool:
		if not before.dates:
			return before.marker in (LOADING, WHOLE_AND_EMPTY)
		return any(before.dates.get(q) != score for q, score in dates.items())

	for before, is_done in each_state(schedule, lambda: schedule.schedules.drop_outdated(owned, truth)):
		assert is_done
		assert asked == ([*owned] if lacks(before, noted) else [])
		asked.clear()
		assert schedule.both == (NOTHING if lacks(before, noted) and lacks(before, present) else before)


def test_keys_of_another_type_are_no_schedule(schedule):
	def put(zset: bool, marker: bool) -> None:
		schedule.put(Both(DATES, WHOLE))
		if zset:
			srs_redis().set(schedule.keys[0], "no sorted set")
		if marker:
			srs_redis().delete(schedule.keys[1])
			srs_redis().lpush(schedule.keys[1], "no string")

	def compared() -> Any:
		return loading.compare(schedule.schedules, schedule.season, [LEARNER])

	put(zset=True, marker=False)
	assert compared()[LEARNER].cached == {}
	put(zset=False, marker=True)
	assert compared() == {}
	owned = {(LEARNER, schedule.season): DATES}
	for zset, marker in ((True, False), (True, True)):
		put(zset, marker)
		assert schedule.schedules.drop_outdated(owned, lambda of: DATES)
		assert not srs_redis().exists(*schedule.keys)
	put(zset=False, marker=True)
	srs_redis().delete(schedule.keys[0])
	assert schedule.schedules.drop_outdated(owned, lambda of: DATES)
	assert not srs_redis().exists(*schedule.keys)


def test_whole_schedules_are_compared_and_no_others(schedule):
	for before, compared in each_state(
		schedule, lambda: loading.compare(schedule.schedules, schedule.season, [LEARNER, OTHER])
	):
		is_claimed = before.marker in (WHOLE, WHOLE_AND_EMPTY)
		cached = {OTHER: DATES, **({LEARNER: before.dates} if is_claimed else {})}
		assert {learner: comparison.cached for learner, comparison in compared.items()} == cached


# The epoch: whose the keys are


NOW, RENEW, LAPSE = 1_000_000, 10, 180
OURS = ("db", "server", "site")


@pytest.mark.parametrize("is_replica", [False, True])
@pytest.mark.parametrize("age", [0, RENEW - 1, RENEW, LAPSE, LAPSE + 1])
def test_who_owns_the_keys_gets_the_epoch_and_nobody_else(schedule, is_replica, age):
	_count, owner = keys = ["{epochs}:count", "{epochs}:owner"]
	lapse, before = (1 << 60, "") if is_replica else (LAPSE, "old server")
	owners = [
		None,
		*(
			(db, server, site)
			for db in ("db", "other db")
			for server in ("server", "old server", "new")
			for site in ("site", "moved")
		),
	]
	client, fields = srs_redis(), ("database", "server", "site", "seen")
	for of in owners:
		client.delete(*keys)
		held = dict(zip(fields, (*of, str(NOW - age)), strict=True)) if of else {}
		if held:
			client.hset(owner, mapping=held)
		epoch, *found = scripts.run_script(
			schedule.schedules.gateway.server.client,
			scripts.EPOCH,
			keys,
			[*OURS, NOW, RENEW, lapse, before],
		)
		has_lapsed = (age if of else NOW) > lapse
		is_ours = (has_lapsed or (of and of[1] in ("server", before))) and (not of or of[0] == "db")
		if not is_ours:
			assert (epoch, found) == ("", list(held.values()) or ["", "", "", "0"])
			assert client.hgetall(owner) == held
			continue
		assert (epoch[12:], found) == (".0", [])
		is_renewed = of != OURS or age >= RENEW
		assert client.hgetall(owner) == dict(
			zip(fields, (*OURS, str(NOW if is_renewed else NOW - age)), strict=True)
		)
	client.delete(*keys)
