"""One stage for the session; for each fault a season of its own, in which nobody has met a fault yet."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from zoneinfo import ZoneInfo

import pytest

from devtools import fault_bench
from devtools.paths import current_bench
from tests.faults.audit import Audit
from tests.faults.classroom import Classroom
from tests.faults.stage import Stage
from tests.integration.waiting import wait_until

SEASONS = 18  # more than there are faults
WARM_UP_ANSWERED, WARM_UP_SECONDS = 48, 30  # two submissions of each device
ACTIVATE_SQL = "UPDATE `tabGame Subscription Season` SET is_active = (name = %s)"


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
	main_bench = current_bench()
	with ExitStack() as stack:
		stage = Stage(stack.enter_context(fault_bench.made(main_bench)), stack)
		stage.start_all(main_bench)
		stage.furniture = stage.python("tests.faults.furnish", str(SEASONS))
		stage.start_web()
		stage.start_worker()
		stage.start_commands()
		yield stage


class Run:
	"""One fault's run: load, the fault, load, and then the audit."""

	def __init__(self, stage: Stage, season: str) -> None:
		self.stage, self.season = stage, season
		self.zone = ZoneInfo(stage.furniture["time_zone"])
		self.room: Classroom | None = None
		self.healed_after: float | None = (
			None  # seconds from the server's return to the last reply of Safe Mode
		)

	@contextmanager
	def under_load(self, url: str = "", devices: int | None = None) -> Iterator[Classroom]:
		"""The block injects the fault while learners answer, on all devices or so many; what it leaves is audited."""
		furniture = self.stage.furniture
		url = url or self.stage.web.url
		self.room = room = Classroom(url, furniture["learners"], furniture["questions"], self.zone)
		room.start(devices)
		try:
			self.answered(WARM_UP_ANSWERED, WARM_UP_SECONDS)
			yield room
		finally:
			room.stop()
		self.stage.ensure_worker()
		Audit(self.stage, room, self.season, self.zone).check_all()

	def answered(self, more: int, seconds: float = 20) -> None:
		"""Waits until so many more submissions are acknowledged."""
		room, goal = self.room, self.room.count + more
		wait_until(lambda: room.ledger.wrong or room.count >= goal, f"{more} more acknowledgements", seconds)
		assert not room.ledger.wrong, room.ledger.wrong[:10]


@pytest.fixture
def run(stage, request, capsys) -> Iterator[Run]:
	"""Says what happened in a line, so that a reader of the log sees that something did."""
	stage.ensure_worker()
	season = stage.furniture["seasons"].pop()
	stage.sql(ACTIVATE_SQL, season)
	run = Run(stage, season)
	yield run
	if run.room:
		ledger = run.room.ledger
		with capsys.disabled():
			print(
				f"\n  {request.node.name}: {len(ledger.acknowledged)} submissions acknowledged, "
				f"{len(ledger.repeated)} of them as repeated, {len(ledger.failures)} requests failed, "
				f"{len(ledger.degraded)} replies degraded, {len(ledger.put_off)} reads put off",
				end=f", the last {run.healed_after:.1f} s after the return "
				if run.healed_after is not None
				else " ",
			)
