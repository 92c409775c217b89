"""Lets one learner hold two web threads of a host at most, so that her requests keep nobody else waiting.

Her further requests are answered 429 at once. So of all that she sends, one request works, and one may wait for it. She is
counted twice: by her cookie or token before Frappe does anything for a request, which costs next to nothing, and by her
name as soon as Frappe knows it, since she may have signed in more than once.
"""

import fcntl
import os
import re
import threading
from contextlib import suppress

import frappe
from werkzeug.wrappers import Request, Response

from memora.api import LEARNERS
from memora.api.refusals import refuse_at_once
from memora.exceptions import RateLimitExceeded
from memora.services.store import row_names

SHORT_NAMES = "|".join(LEARNERS)
LEARNERS_PATH = re.compile(
	rf"/review/?$|/api(/v\d+)?/method/memora\.(api\.((reviews|sessions)\.|({SHORT_NAMES})/?$)|www\.)"
)
PLACES = 2  # of one learner, on one host
WAIT_SECONDS = 1  # what a refused client is told; a request takes milliseconds
WAIT_TEXT = "Please wait a second."
FILE = "memora_turns.lock"


class Places:
	"""The places that the processes of one host share: locks on single bytes of an empty file.

	A lock costs microseconds, needs neither Redis nor MariaDB, and ends with its process, whatever kills the process.
	"""

	def __init__(self, path: str) -> None:
		self.pid = os.getpid()
		self._taken: set[int] = set()  # by this process: the kernel does not tell its threads apart
		self._lock = threading.Lock()
		self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

	def take(self, key: str) -> int | None:
		"""Returns a free place of this key, which is now taken. Returns None if all are taken."""
		first = int(row_names.digest(key), 16) // 8 * PLACES  # below 2 ** 63, where files end
		with self._lock:
			return next((place for place in range(first, first + PLACES) if self._take(place)), None)

	def _take(self, place: int) -> bool:
		if place in self._taken:
			return False
		try:
			fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
		except BlockingIOError:
			return False
		except PermissionError:  # what some systems say instead
			return False
		self._taken.add(place)
		return True

	def give_back(self, place: int) -> None:
		with self._lock:
			self._taken.discard(place)
			fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)


class Turn:
	"""The places that a request holds, by key. They are free again at the latest when the request is forgotten."""

	def __init__(self, places: Places) -> None:
		self._places = places
		self._held: dict[str, int] = {}

	def begin(self, key: str) -> bool:
		"""Takes a place of this key, unless the request has one. Says whether there was one."""
		if key in self._held:
			return True
		place = self._places.take(key)
		if place is None:
			return False
		self._held[key] = place
		return True

	def end(self) -> None:
		while self._held:
			self._places.give_back(self._held.popitem()[1])

	def __del__(self) -> None:
		with suppress(Exception):  # the interpreter may be ending
			self.end()


_places: dict[str, Places] = {}
_places_lock = threading.Lock()


def admit(request: Request, user: str = "") -> None:
	"""Refuses a request to the learners' endpoints while two others of the same learner are under way.

	Before Frappe has a session it is called without a user, and goes by cookie or token alone. What frappe.session says
	then is wrong: while Frappe's cache is down, everybody is the Administrator there.
	"""
	if LEARNERS_PATH.match(request.path):
		_require(request.headers.get("Authorization") or request.cookies.get("sid") or "")
		_require(user)


def require(user: str) -> None:
	"""Refuses the request if other requests of this user hold all the threads that she may hold."""
	if getattr(frappe.local, "request", None):
		_require(user)


def _require(key: str) -> None:
	if key not in ("", "Guest") and not begin(key):
		end()
		refuse_at_once(RateLimitExceeded, WAIT_TEXT, {"Retry-After": str(WAIT_SECONDS)})


def begin(key: str) -> bool:
	"""Takes a place of this key for this request. Says whether there was one."""
	turn = frappe.flags.memora_turn
	if not turn:
		turn = frappe.flags.memora_turn = Turn(_places_of_site())
	return turn.begin(key)


def end_turn(response: Response | None, request: Request) -> None:
	"""At the end of a request: lets the learner's next request begin."""
	end()


def end() -> None:
	"""Gives back the places that this request has, if any."""
	if turn := frappe.flags.pop("memora_turn", None):
		turn.end()


def _places_of_site() -> Places:
	path = os.path.abspath(frappe.get_site_path("locks", FILE))
	with _places_lock:
		places = _places.get(path)
		if not places or places.pid != os.getpid():  # a fork has no locks of its own yet
			os.makedirs(os.path.dirname(path), exist_ok=True)
			places = _places[path] = Places(path)
		return places
