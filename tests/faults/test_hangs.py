"""Processes and servers hang, and connections are cut without a FIN, in the middle of what they do.

A second host has the trouble. Eight learners use it, four of these with a second device at the first host. Nothing is lost,
nothing is counted twice, and the other twelve, who use the first host, do not wait.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.faults.archiver import ArchiveRun
from tests.faults.conftest import Run
from tests.faults.freezing import freeze, frozen_amid, thaw
from tests.faults.furnish import LEARNERS, SEEN
from tests.faults.host import Host
from tests.faults.moments import Moments
from tests.faults.test_faults import load_for, trusted_again
from tests.integration.waiting import wait_until

HOLD_SECONDS = 2.0  # longer than any wait of the product's for Redis, and than the bound of the others' waits
SERVER_HOLD_SECONDS = 4.0  # longer than anybody may have to wait for a Redis that hangs
SECONDS_TO_TAKE_LOCKS = 40  # MariaDB ends a fold's or a submission's transaction that rests for longer
ARCHIVE_HOLD_SECONDS = 6.0  # longer than anybody may have to wait for a swap that hangs
SECONDS_TO_SWAP = 4.5  # during which tables are locked, by a process that hangs: see LOCKED_RESTS_SECONDS
SECONDS_FOR_REDIS = 3.0  # of a request that tries a Redis that hangs, perhaps twice, and then does without it
ARCHIVE_SLICE_SECONDS = 0.003  # a season is on its way for some hundredths of a second
SEEDED = LEARNERS * SEEN
ROWS_SQL = """
	SELECT (SELECT COUNT(*) FROM `tabPlayer Memory Tracker` WHERE season = %s),
	COUNT(*) FROM `tabArchived Memory Tracker` WHERE season = %s"""
OF_FRAPPE = ("mariadb", "redis-cache")
ALL = ("mariadb", "redis-cache", "redis-queue", "redis-srs")


@pytest.fixture(scope="module")
def far(stage) -> Host:
	return Host(stage)


# What a frozen process holds


def test_frozen_processes_lose_their_locks(stage, far, run):
	"""A work-horse amid a fold, and a web process amid a submission, wake when MariaDB has given their locks to others."""
	far.ensure_worker()
	horse, web = far.horses, lambda: one_web_process(far)
	with run.measured(far.web.url) as room:
		moments = Moments(stage, far, room, run.season)
		room.hurried = room.far
		with (
			frozen_amid(horse, moments.folding, "folding"),
			frozen_amid(web, moments.submitting, "submitting"),
		):
			room.hurried = []
			with run.stopwatch.fault("locks are held"):
				load_for(HOLD_SECONDS)
				held = moments.submitting() | moments.folding()
				wait_until(
					lambda: not held & (moments.submitting() | moments.folding()),
					"the end of a frozen process's transactions",
					SECONDS_TO_TAKE_LOCKS,
				)
			run.served_again(room.others)
		run.served_again(room.far)
	run.others_did_not_wait()


# Others


@dataclass(frozen=True)
class Fault:
	"""What happens to whom, and at which moment: a method of Moments."""

	name: str
	victims: Callable[[Host], list[int]]
	moment: str
	cut_off_from: tuple[str, ...] = ()

	def __str__(self) -> str:
		return f"{self.name}, {self.moment}"


def one_web_process(host: Host) -> list[int]:
	"""Any of them: a client stays with one, so another may have nothing to do."""
	return random.sample(host.web_pids(), 1)


def cut_off_from(servers: tuple[str, ...], moment: str) -> Fault:
	whom = "everything" if servers == ALL else servers[0]
	return Fault(f"cut off from {whom}", lambda host: host.wire_pids(servers), moment, servers)


FROZEN = [
	Fault("web process", one_web_process, "submitting"),
	Fault("web process", one_web_process, "loading"),
	Fault("work-horse", Host.horses, "folding"),
	Fault("worker", lambda host: [host.worker.pid], "taking"),
	Fault("host", Host.all_pids, "submitting"),
]
CUT_OFF = [  # first those that need a worker: one that was cut off from the queue rests for up to a minute
	cut_off_from(("mariadb",), "folding"),
	cut_off_from(("mariadb",), "submitting"),
	cut_off_from(("mariadb",), "loading"),
	cut_off_from(("redis-srs",), "loading"),
	cut_off_from(("redis-srs",), "serving"),
	cut_off_from(("redis-cache",), "asking"),
	cut_off_from(("redis-queue",), "storing"),
	cut_off_from(ALL, "submitting"),
]


@pytest.mark.parametrize("faults", [FROZEN, CUT_OFF], ids=["frozen", "cut-off"])
def test_the_others_do_not_wait(stage, far, run, faults):
	with run.measured(far.web.url) as room:
		moments = Moments(stage, far, room, run.season)
		for fault in faults:
			far.ensure_worker()
			with struck(fault, far, moments), run.stopwatch.fault(str(fault)):
				load_for(HOLD_SECONDS)
			run.served_again(room.far)
	run.others_did_not_wait()


@contextmanager
def struck(fault: Fault, host: Host, moments: Moments) -> Iterator[None]:
	begin = moments.forget_schedules if fault.moment == "loading" else lambda: None
	facts = getattr(moments, fault.moment)
	moments.room.hurried = moments.room.far  # so that the moment comes soon
	with (
		frozen_amid(lambda: fault.victims(host), facts, str(fault), begin),
		host.refusing(fault.cut_off_from),
	):
		moments.room.hurried = []
		yield


# Archive runs


def test_archive_runs_hang(stage, far, run):
	"""When they wake, they go on, or fail and leave the rest to the next run, which may have taken over meanwhile."""
	seasons = [stage.furniture["seasons"].pop(0) for _ in range(2)]
	with run.measured(far.web.url) as room:
		moments = Moments(stage, far, room, run.season)
		hangs(run, far, moments, seasons[0])
		run.served_again(room.far)
		wakes_when_another_has_taken_over(run, far, moments, seasons[1])
		run.served_again(room.far)
		assert not moments.archiving()
	for season in seasons:
		assert stage.sql(ROWS_SQL, season, season) == [(0, SEEDED)]
	run.others_did_not_wait(SECONDS_TO_SWAP)


def hangs(run: Run, far: Host, moments: Moments, season: str) -> None:
	archive, pids = ArchiveRun(run.stage, far.bench, season), lambda: [archive.process.pid]
	with amid_archiving(moments, pids), run.stopwatch.fault("frozen archive run"):
		assert "going on" in ArchiveRun(run.stage, run.stage.bench, season).result()["error"]
		load_for(ARCHIVE_HOLD_SECONDS)
	result = archive.result()
	if not result["success"]:  # it has slept with locked tables
		result = ArchiveRun(run.stage, far.bench, season).result()
	assert result == {"success": True, "archived_count": SEEDED, "season": season}


def wakes_when_another_has_taken_over(run: Run, far: Host, moments: Moments, season: str) -> None:
	"""MariaDB ends the connections of a host that it does not hear from; here somebody does it sooner."""
	archive, pids = ArchiveRun(run.stage, far.bench, season), lambda: far.wire_pids(["mariadb"])
	with (
		amid_archiving(moments, pids),
		far.refusing(["mariadb"]),
		run.stopwatch.fault("archive run cut off and replaced"),
	):
		moments.end_connections()
		second = ArchiveRun(run.stage, run.stage.bench, season).result()
		assert second == {"success": True, "archived_count": SEEDED, "season": season}
	assert not archive.result()["success"]


@contextmanager
def amid_archiving(moments: Moments, pids: Callable[[], list[int]]) -> Iterator[None]:
	"""While the season's rows are in neither tracker nor archive."""
	with frozen_amid(pids, moments.archiving, "archiving", slice_seconds=ARCHIVE_SLICE_SECONDS):
		yield


# Servers


def test_servers_freeze(stage, run):
	"""Whoever touches a Redis that hangs waits for as long as Memora lets her. Frappe lets everybody wait for its cache
	and for MariaDB: then it counts that nothing is lost, and that all are served again."""
	with run.measured() as room:
		for server in ALL:
			with (
				standing_still([stage.servers[server].pid]),
				run.stopwatch.fault(f"frozen {server}", server in OF_FRAPPE),
			):
				load_for(SERVER_HOLD_SECONDS)
			run.served_again(room.started)
			if server == "redis-srs":
				trusted_again(run, room)
	run.others_did_not_wait(SECONDS_FOR_REDIS)


@contextmanager
def standing_still(pids: list[int]) -> Iterator[None]:
	freeze(pids)
	try:
		yield
	finally:
		thaw(pids)
