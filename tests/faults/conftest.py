"""One stage for the session; for each fault a season of its own, in which nobody has met a fault yet."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from zoneinfo import ZoneInfo

import pytest

from devtools import fault_bench
from devtools.paths import current_bench
from tests.faults.audit import Audit
from tests.faults.classroom import Classroom, Device
from tests.faults.stage import Stage
from tests.faults.waits import VERBS, Stopwatch, Wait
from tests.integration.waiting import wait_until

SEASONS = 28  # more than the faults need
OTHERS_SECONDS = 1.0  # a lock or a server that others wait for holds them up for longer
WARM_UP_SECONDS = 30
WORST: pytest.StashKey[list[dict[str, Wait]]] = pytest.StashKey()
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
		self.stopwatch: Stopwatch | None = None
		self.healed_after: float | None = (
			None  # seconds from the server's return to the last reply of Safe Mode
		)

	@contextmanager
	def under_load(self, url: str = "", devices: int | None = None) -> Iterator[Classroom]:
		"""The block injects the fault while learners answer, on all devices or so many; what it leaves is audited."""
		room = self._room(url or self.stage.web.url)
		room.start(devices)
		with self._audited(room):
			self.answered(2 * len(room.started), WARM_UP_SECONDS)
			yield room

	@contextmanager
	def measured(self, far_url: str = "") -> Iterator[Classroom]:
		"""Puts the classroom to work, with pauses, for the block. A stopwatch measures how long others wait before and during a fault."""
		room = self._room(self.stage.web.url, far_url)
		room.start_measured()
		with self._audited(room):
			self.served_again(room.started)
			self.stopwatch = Stopwatch(room)
			yield room

	def _room(self, url: str, far_url: str = "") -> Classroom:
		furniture = self.stage.furniture
		return Classroom(url, furniture["learners"], furniture["questions"], self.zone, far_url)

	@contextmanager
	def _audited(self, room: Classroom) -> Iterator[None]:
		self.room = room
		try:
			yield
		finally:
			room.stop()
		self.stage.ensure_worker()
		Audit(self.stage, room, self.season, self.zone).check_all()

	def others_did_not_wait(self, seconds: float = OTHERS_SECONDS) -> None:
		"""After the load: others were served nearly as before during all faults, but for those that hit everybody."""
		waited = [
			f"{name}: {kind} {wait}"
			for name, kind, wait in self.stopwatch.waits()
			if name not in self.stopwatch.of_all and not wait.is_within(seconds)
		]
		assert not waited, f"others waited for more than {seconds} s, p99 before → during {waited}"
		errors = self.stopwatch.errors()
		assert self.stopwatch.of_all or not errors, f"others were answered {errors}"

	def worst_waits(self) -> dict[str, Wait]:
		"""{kind of request: the longest wait of others during any of the faults}."""
		by_kind: dict[str, list[Wait]] = {}
		for name, kind, wait in self.stopwatch.waits() if self.stopwatch else ():
			if name not in self.stopwatch.of_all:
				by_kind.setdefault(kind, []).append(wait)
		return {kind: max(waits, key=lambda wait: wait.during) for kind, waits in by_kind.items()}

	def served_again(self, devices: list[Device], seconds: float = 20) -> None:
		"""Waits until each device has been acknowledged one more submission."""
		wrong, before = self.room.ledger.wrong, {device: device.answered for device in devices}

		def are_served() -> bool:
			return bool(wrong) or all(device.answered > count for device, count in before.items())

		wait_until(are_served, "devices that are served", seconds)
		assert not wrong, wrong[:10]

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
			for name, kind, wait in run.stopwatch.waits() if run.stopwatch else ():
				print(f"\n    p99 of others, before → during {name}: {kind} {wait}", end=" ")
	request.config.stash.setdefault(WORST, []).append(run.worst_waits())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
	"""A line that ./dev faults shows with each round."""
	worst = [waits for waits in terminalreporter.config.stash.get(WORST, []) if waits]
	for kind in VERBS.values() if worst else ():
		wait = max((waits[kind] for waits in worst), key=lambda wait: wait.during)
		terminalreporter.write_line(f"p99 of others at its worst, before → during a fault: {kind} {wait}")
