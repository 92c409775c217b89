"""Learners who answer without pause, each device in a thread, and what they were told."""

import random
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

import requests

from memora.api.turns import WAIT_TEXT

API = "/api/method/memora.api.reviews."
REQUEST_SECONDS = 5  # a device's patience with one request; then it sends it again
SUBMISSION_SECONDS = 60  # by then a submission must have been acknowledged, whatever happened
PAUSE_SECONDS = 0.05  # before a request that failed is sent again
ANSWERS = (1, 5)
LEARNERS_WITH_TWO_DEVICES = 4
# Where waits are measured, some devices answer with pauses: a server that is busy lets everybody wait
FAR_LEARNERS, OTHERS = 8, 8  # who use a second host, and those who don't
PAUSE_BETWEEN_SECONDS = 0.3
READ_LIMIT = 50
HTTP_ERROR = "HTTP "
TURNED_AWAY = "turned away"  # while requests that were given up hold the threads that the learner may hold


@dataclass
class Learner:
	"""A learner and what her devices were told: `due` holds, by question, the latest epoch acknowledged."""

	name: str
	token: str
	due: dict[str, float] = field(default_factory=dict)


class Request(NamedTuple):
	"""How long a device waited for a reply, or in vain. Times are of the monotonic clock, in seconds."""

	device: "Device"
	verb: str
	begin: float
	end: float
	failure: str  # empty if there was a reply, as in Ledger.failures


@dataclass
class Ledger:
	"""Notes what was sent and what came back. Threads may append to its lists and set keys at the same time."""

	sent: dict[str, tuple[str, dict[str, int]]] = field(default_factory=dict)
	acknowledged: list[str] = field(default_factory=list)
	repeated: list[str] = field(default_factory=list)  # acknowledged as stored before
	failures: list[str] = field(default_factory=list)  # requests that had to be sent again
	degraded: list[str] = field(default_factory=list)  # replies that said so
	put_off: list[str] = field(default_factory=list)  # reads that Safe Mode did not admit
	safe_mode_at: float = 0.0  # when the latest reply of either kind came, by the monotonic clock
	wrong: list[str] = field(default_factory=list)  # what must never happen
	requests: list["Request"] = field(default_factory=list)

	@property
	def server_errors(self) -> list[str]:
		"""Returns the failures that the server itself answered with."""
		return [failure for failure in self.failures if failure.startswith(HTTP_ERROR)]


class Classroom:
	"""Drives all learners until `stop()`, which lets each finish the submission it has begun.

	With a `far_url` some learners use that host, the second devices of some of these the first host, and so do others, all
	of them with pauses.
	"""

	def __init__(
		self, url: str, learners: dict[str, str], questions: list[str], zone: ZoneInfo, far_url: str = ""
	) -> None:
		self.url, self.questions, self.zone = url, questions, zone
		self.ledger, self.pause_seconds = Ledger(), 0.0
		self.learners = [Learner(name, token) for name, token in learners.items()]
		self.stopping = threading.Event()
		far = self.learners[:FAR_LEARNERS] if far_url else []
		twice = self.learners[:LEARNERS_WITH_TWO_DEVICES]
		self.devices = [Device(self, one, far_url if one in far else url) for one in self.learners]
		self.devices += [Device(self, one, url) for one in twice]
		self.far = [device for device in self.devices if device.url == far_url]
		self.others = [device for device in self.devices if device.learner not in far][:OTHERS]
		self.twins = [device for device in self.devices if device.learner in far and device.url == url]
		self.started: list[Device] = []
		self.hurried: list[Device] = []  # who make no pauses for now

	def start(self, how_many: int | None = None) -> None:
		"""All devices, or only so many."""
		self._start(self.devices[:how_many])

	def start_measured(self) -> None:
		"""Those whose waits are measured, and those of the far host, with pauses between their requests."""
		self.pause_seconds = PAUSE_BETWEEN_SECONDS
		self._start([*self.far, *self.twins, *self.others])

	def _start(self, devices: list["Device"]) -> None:
		self.started = devices
		for device in devices:
			device.start()

	def stop(self) -> None:
		self.stopping.set()
		for device in self.started:
			device.join(SUBMISSION_SECONDS + REQUEST_SECONDS)
		assert not any(device.is_alive() for device in self.started), "a device hangs"

	@property
	def count(self) -> int:
		return len(self.ledger.acknowledged)

	@property
	def in_safe_mode(self) -> int:
		"""Counts the replies that Safe Mode has given so far."""
		return len(self.ledger.degraded) + len(self.ledger.put_off)


class Device(threading.Thread):
	def __init__(self, room: Classroom, learner: Learner, url: str) -> None:
		super().__init__(daemon=True)
		self.room, self.learner, self.url, self.ledger = room, learner, url, room.ledger
		self.answered = 0  # submissions acknowledged
		self.failure = ""  # of the present request
		self.random = random.Random()
		self.session = _session(learner.token)

	def run(self) -> None:
		try:
			while not self.room.stopping.is_set():
				shown = self.read()
				self._pause()
				self.submit(self._answers(shown))
				self._pause()
		except Exception as error:  # a thread's own would go unnoticed
			self.ledger.wrong.append(f"{self.learner.name}: {type(error).__name__}: {error}")

	def _pause(self) -> None:
		if self not in self.room.hurried:
			self.room.stopping.wait(self.random.uniform(0, 2 * self.room.pause_seconds))

	def read(self) -> list[str]:
		"""The questions due; empty where the server did not say. Notes those that can't be due."""
		told = dict(self.learner.due)
		reply = self._request("GET", "get_review_session", params={"limit": READ_LIMIT})
		if not reply:
			return []
		now = time.time()
		for question in (shown := [q["question_id"] for q in reply["questions"]]):
			if told.get(question, 0) > now:
				self.ledger.wrong.append(f"{self.learner.name} was shown {question}, due {told[question]}")
		return shown

	def submit(self, answers: dict[str, int]) -> None:
		"""Sends the same submission until it is acknowledged."""
		submission, deadline = uuid4().hex, time.monotonic() + SUBMISSION_SECONDS
		self.ledger.sent[submission] = self.learner.name, answers
		body = {
			"submission_id": submission,
			"responses": [{"question_id": q, "quality": quality} for q, quality in answers.items()],
		}
		while not (reply := self._request("POST", "submit_review_session", json=body)):
			assert time.monotonic() < deadline, f"{submission} was not taken in {SUBMISSION_SECONDS} s"
			time.sleep(PAUSE_SECONDS)
		self._note(submission, answers, reply)

	def _note(self, submission: str, answers: dict[str, int], reply: dict[str, Any]) -> None:
		if reply["schedule"].keys() != answers.keys() or reply["submission_id"] != submission:
			self.ledger.wrong.append(f"{submission} with {answers} was answered {reply}")
			return
		for question, due in reply["schedule"].items():
			self.learner.due[question] = epoch(datetime.fromisoformat(due), self.room.zone)
		if reply["status"] == "already_processed":
			self.ledger.repeated.append(submission)
		self.ledger.acknowledged.append(submission)
		self.answered += 1

	def _answers(self, shown: list[str]) -> dict[str, int]:
		"""Some of what is due, and some others."""
		how_many = self.random.randint(*ANSWERS)
		picked = {*shown[: how_many // 2], *self.random.sample(self.room.questions, how_many)}
		return {question: self.random.randint(0, 5) for question in sorted(picked)}

	def _request(self, verb: str, method: str, **how: Any) -> dict[str, Any] | None:
		"""The reply; None where the client has to try again, or has to wait with a read."""
		begin, self.failure = time.monotonic(), ""
		reply = self._reply(verb, method, **how)
		self.ledger.requests.append(Request(self, verb, begin, time.monotonic(), self.failure))
		return reply

	def _reply(self, verb: str, method: str, **how: Any) -> dict[str, Any] | None:
		try:
			reply = self.session.request(verb, self.url + API + method, timeout=REQUEST_SECONDS, **how)
			if reply.status_code == 200:
				return self._looked_at(reply.json()["message"])
		except (requests.RequestException, ValueError) as error:  # ValueError: half a reply
			self._note_failure(type(error).__name__)
			return None
		if reply.status_code == 429 and WAIT_TEXT in reply.text:
			self._note_failure(TURNED_AWAY)
			time.sleep(int(reply.headers["Retry-After"]))
			return None
		if verb == "GET" and reply.status_code == 429 and int(reply.headers["Retry-After"]) > 0:
			self.ledger.put_off.append(self.learner.name)
			self.ledger.safe_mode_at = time.monotonic()
			return None
		assert reply.status_code >= 500, f"{method} answered {reply.status_code}: {reply.text[:300]}"
		self._note_failure(f"{HTTP_ERROR}{reply.status_code}")
		return None

	def _note_failure(self, what: str) -> None:
		self.failure = what
		self.ledger.failures.append(what)

	def _looked_at(self, message: dict[str, Any]) -> dict[str, Any]:
		if message["is_degraded"]:
			self.ledger.degraded.append(self.learner.name)
			self.ledger.safe_mode_at = time.monotonic()
		return message


def _session(token: str) -> requests.Session:
	session = requests.Session()
	session.trust_env = False  # no proxy but the tests' own
	session.headers["Authorization"] = token
	return session


def epoch(site_datetime: datetime, zone: ZoneInfo) -> float:
	return site_datetime.replace(tzinfo=zone).timestamp()
