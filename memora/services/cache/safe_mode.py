"""Safe Mode: limits learners' reads while Redis is not there, so that they do not bring MariaDB down, too.

The limits hold exactly for all processes of all hosts: the admissions of the last minute are rows of one
table, and a process counts and adds rows under one lock. Where MariaDB takes no writes or gives no locks, each process counts by itself: no
learner's page is to go blank because a limit can't be written down. A process remembers which learners have to wait, and
for how long the limit of the whole system is reached. Until then it refuses without asking MariaDB.
"""

import math
import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import frappe

from memora.exceptions import DatabaseUnavailable, RateLimitExceeded
from memora.services.cache import incidents
from memora.services.cache.schedules import Schedules
from memora.services.settings import get_settings
from memora.services.store import admissions, database, failures

WINDOW_SECONDS = 60  # of the limit for the whole system: any sixty seconds, not a minute of the clock
LOCK_WAIT_SECONDS = 1  # an admission takes milliseconds
REMEMBERED_LEARNERS = 10_000  # by a process: a full list loses the learners who may read again


class Verdict(NamedTuple):
	"""The decision whether a learner may read now.

	`wait_seconds` is 0 if she is admitted. `is_full` says whether she waits because of the whole system's
	limit.
	"""

	wait_seconds: float
	is_full: bool = False


@dataclass
class _Memory:
	"""The refusals that this process repeats without asking MariaDB. Times are of the monotonic clock."""

	limits: tuple[int, int]  # with other limits, what is remembered is void
	learners: dict[str, float] = field(default_factory=dict)
	full_until: float = 0.0
	admitted_at: deque[float] = field(default_factory=deque)  # while MariaDB takes no writes

	def verdict(self, learner: str) -> Verdict:
		now = time.monotonic()
		if (wait := self.learners.get(learner, 0.0) - now) > 0:
			return Verdict(wait)
		return Verdict(max(0.0, self.full_until - now), is_full=True)

	def admit(self) -> Verdict:
		"""Admits a learner, or says how long the limit of the whole system is reached, by this process's own count."""
		now = time.monotonic()
		while self.admitted_at and self.admitted_at[0] <= now - WINDOW_SECONDS:
			self.admitted_at.popleft()
		if len(self.admitted_at) >= self.limits[1]:
			return Verdict(self.admitted_at[0] + WINDOW_SECONDS - now, is_full=True)
		self.admitted_at.append(now)
		return Verdict(0)

	def note(self, learner: str, verdict: Verdict) -> None:
		now = time.monotonic()
		if verdict.is_full:
			self.full_until = now + verdict.wait_seconds
			return
		if len(self.learners) >= REMEMBERED_LEARNERS:
			# a copy, because other threads add to the dictionary meanwhile
			self.learners = {name: until for name, until in self.learners.copy().items() if until > now}
		self.learners[learner] = now + verdict.wait_seconds


_memories: dict[str, _Memory] = {}


class SafeModeManager:
	"""Says whether Safe Mode is on, and admits learners' reads. The limits are in Memora Settings."""

	def __init__(self) -> None:
		settings = get_settings()
		limits = (settings.safe_mode_user_seconds, settings.safe_mode_requests_per_minute)
		memory = _memories.get(frappe.local.site)
		if not memory or memory.limits != limits:
			memory = _memories[frappe.local.site] = _Memory(limits)
		self.memory = memory
		self.schedules = Schedules()

	def is_safe_mode_active(self) -> bool:
		"""Says whether Redis can't be used, as this process sees it."""
		return not self.schedules.is_available()

	def check_rate_limit(self, user: str) -> bool:
		"""Says whether this learner may read now; if she may, counts the read. Commits."""
		return not self.ask(user).wait_seconds

	def admit_next_read(self, user: str) -> bool:
		"""Says what check_rate_limit says. If she may read, `require` admits that read without counting it again. Commits."""
		is_admitted = self.check_rate_limit(user)
		frappe.flags.memora_admitted = user if is_admitted else None
		return is_admitted

	def require(self, user: str) -> None:
		"""Admits this learner, or raises RateLimitExceeded with the seconds to wait. Commits."""
		if frappe.flags.pop("memora_admitted", None) == user:
			return
		verdict = self.ask(user)
		if not verdict.wait_seconds:
			return
		wait = verdict.wait_seconds
		if verdict.is_full:  # at random, or all who wait would come back at the same moment
			wait += random.uniform(0, self.memory.limits[0])
		RateLimitExceeded.throw(math.ceil(wait))

	def ask(self, user: str) -> Verdict:
		"""Admits a learner, or says how long she has to wait. The open incident counts both. Commits."""
		verdict = self.memory.verdict(user)
		if not verdict.wait_seconds:
			verdict = self._admit_or_count(user)
		if not self.schedules.is_trusted:  # a client may ask for Safe Mode also while Redis is there
			incidents.count(served=int(not verdict.wait_seconds), limited=int(bool(verdict.wait_seconds)))
		return verdict

	def _admit_or_count(self, user: str) -> Verdict:
		if not database.only_reads():
			try:
				return self._admit(user)
			except DatabaseUnavailable:
				frappe.clear_messages()  # MariaDB gives no locks
			except failures.ERRORS as error:
				if not failures.is_read_only(error):
					raise
		verdict = self.memory.admit()
		self.memory.note(user, verdict if verdict.is_full else Verdict(self.memory.limits[0]))
		return verdict

	def _admit(self, user: str) -> Verdict:
		pause, requests_per_minute = self.memory.limits
		with database.brief_lock("safe mode", LOCK_WAIT_SECONDS) as is_mine:
			if not is_mine:
				return Verdict(LOCK_WAIT_SECONDS, is_full=True)
			database.new_snapshot()
			found = admissions.look(user, pause, WINDOW_SECONDS)
			if found.seconds_until_again is not None and found.seconds_until_again > 0:
				verdict = Verdict(float(found.seconds_until_again))
			elif found.recent >= requests_per_minute:
				verdict = Verdict(float(found.seconds_until_free or 0), is_full=True)
			else:
				admissions.admit(user, max(pause, WINDOW_SECONDS))
				self.memory.note(user, Verdict(pause))
				return Verdict(0)
		self.memory.note(user, verdict)
		return verdict


def forget() -> None:
	"""Forgets this process's refusals, so that MariaDB is asked about every learner again."""
	_memories.pop(frappe.local.site, None)


def forget_learner(learner: str) -> None:
	"""Forgets this process's refusals of one learner."""
	if memory := _memories.get(frappe.local.site):
		memory.learners.pop(learner, None)
