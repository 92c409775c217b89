"""Safe Mode: what learners may read while Redis is not there, so that they do not bring MariaDB down, too.

The limits hold exactly for all processes of all hosts, since the admissions of the last minute are rows of one
table that are counted and added to under one lock. Whom a process has just refused, or found all
places taken, it refuses again without asking MariaDB.
"""

import math
import random
import time
from dataclasses import dataclass, field
from typing import NamedTuple

import frappe

from memora.exceptions import RateLimitExceeded
from memora.services.cache import incidents
from memora.services.cache.schedules import Schedules
from memora.services.settings import get_settings
from memora.services.store import admissions, database

WINDOW_SECONDS = 60  # of the limit for the whole system: any sixty seconds, not those of the clock
LOCK_WAIT_SECONDS = 1  # an admission takes milliseconds
REMEMBERED_PLAYERS = 10_000  # of a process: then the list is gone through, and those who may come again go


class Verdict(NamedTuple):
	"""`wait_seconds` is 0 for who is admitted; `is_full` says whether the whole system's limit is the reason."""

	wait_seconds: float
	is_full: bool = False


@dataclass
class _Memory:
	"""Whom this process need not ask MariaDB about, as times of the monotonic clock."""

	limits: tuple[int, int]  # it holds under no others
	learners: dict[str, float] = field(default_factory=dict)
	full_until: float = 0.0

	def verdict(self, learner: str) -> Verdict:
		now = time.monotonic()
		if (wait := self.learners.get(learner, 0.0) - now) > 0:
			return Verdict(wait)
		return Verdict(max(0.0, self.full_until - now), is_full=True)

	def note(self, learner: str, verdict: Verdict) -> None:
		now = time.monotonic()
		if verdict.is_full:
			self.full_until = now + verdict.wait_seconds
			return
		if len(self.learners) >= REMEMBERED_PLAYERS:
			# of a copy: other threads add to it meanwhile
			self.learners = {name: until for name, until in self.learners.copy().items() if until > now}
		self.learners[learner] = now + verdict.wait_seconds


_memories: dict[str, _Memory] = {}


class SafeModeManager:
	"""Whether Safe Mode is on, and who may read in it. The limits are in Memora Settings."""

	def __init__(self) -> None:
		settings = get_settings()
		limits = (settings.safe_mode_user_seconds, settings.safe_mode_requests_per_minute)
		memory = _memories.get(frappe.local.site)
		if not memory or memory.limits != limits:
			memory = _memories[frappe.local.site] = _Memory(limits)
		self.memory = memory
		self.schedules = Schedules()

	def is_safe_mode_active(self) -> bool:
		"""Whether Redis can't be asked, as this process sees it."""
		return not self.schedules.is_available()

	def check_rate_limit(self, user: str) -> bool:
		"""Whether this user may read now; if so, the reading is counted. Commits."""
		return not self.ask(user).wait_seconds

	def require(self, user: str) -> None:
		"""As check_rate_limit, but raises RateLimitExceeded with the seconds to wait."""
		verdict = self.ask(user)
		if not verdict.wait_seconds:
			return
		wait = verdict.wait_seconds
		if verdict.is_full:  # or all who wait would come back at the same moment
			wait += random.uniform(0, self.memory.limits[0])
		RateLimitExceeded.throw(math.ceil(wait))

	def ask(self, user: str) -> Verdict:
		"""Admits a user or says how long she has to wait; counted in the incident, if there is one."""
		verdict = self.memory.verdict(user)
		if not verdict.wait_seconds:
			verdict = self._admit(user)
		if not self.schedules.is_trusted:  # Safe Mode may be asked for at any time
			incidents.count(served=int(not verdict.wait_seconds), limited=int(bool(verdict.wait_seconds)))
		return verdict

	def _admit(self, user: str) -> Verdict:
		pause, requests_per_minute = self.memory.limits
		with database.named_lock("safe mode", LOCK_WAIT_SECONDS) as is_mine:
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
	"""Ask MariaDB about everybody again."""
	_memories.pop(frappe.local.site, None)
