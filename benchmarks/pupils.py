"""Pupils before the page /review, as a server sees them: what the page's scripts send, at the pace of people.

A pupil loads the page, answers one question after the other, and asks for what comes next. The page's rules are those of
memora/public/js/review: outbox.js (when answers are sent, and which of them together) and main.js (what is read when).
Addresses of scripts and styles are not asked for: browsers keep them.
"""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from random import Random
from typing import Any, NamedTuple
from uuid import uuid4

from benchmarks.classroom import GET_LESSON, GET_REVIEW, RIGHT, SHARE_RIGHT, SUBMIT_REVIEW, WRONG
from benchmarks.open_loop import exchange, status_of

PAGE, LOGIN = "page", "login"
BATCH = 5  # as in outbox.js
QUESTIONS_A_LESSON = 10
# Seconds from one answer to the next: three to see what was right, and a lognormal time to answer, whose median and quartiles are
# those of 478 learners' 55,122 answers (7.7 s; 5.2 and 11 s)
LOOK_SECONDS, LOG_MEAN, LOG_SPREAD = 3.0, 2.04, 0.56
LEAST_SECONDS, MOST_SECONDS = 6.0, 20.0
START = re.compile(rb'<script type="application/json" id="start">(.*?)</script>', re.DOTALL)
ANSWERED = 200
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 60.0
TIMEOUT_SECONDS = 60


class Sent(NamedTuple):
	"""A request: what it asked for, the status (0 without a response), when it was sent (monotonic) and how long it took."""

	kind: str
	status: int
	at: float
	ms: float


@dataclass
class Log:
	"""What pupils have done: their requests, the answers that were acknowledged, and the requests of each sitting that ended."""

	sent: list[Sent] = field(default_factory=list)
	acknowledged: list[tuple[float, str, str]] = field(default_factory=list)  # (when, submission, question)
	sittings: list[int] = field(default_factory=list)


class Pupil:
	"""One pupil in a browser of her own. `address` is the web server's."""

	def __init__(self, address: tuple[str, int], user: str, log: Log, random: Random) -> None:
		self.address, self.user, self.log, self.random = address, user, log, random
		self.share_right = random.uniform(*SHARE_RIGHT)
		self.cookie, self.token, self.requests = "", "", 0

	async def sign_in(self, password: str) -> None:
		head, _body = await self._request(
			LOGIN, "POST", "/api/method/login", {"usr": self.user, "pwd": password}
		)
		lines = head.decode().split("\r\n")
		cookies = SimpleCookie()
		for line in lines:
			if line.lower().startswith("set-cookie:"):
				cookies.load(line.partition(":")[2])
		self.cookie = f"sid={cookies['sid'].value}"

	async def sit(self) -> None:
		"""One sitting: the page with its first session, all answers, what is due next, and a lesson."""
		self.requests = 0
		start = await self._load()
		self.token = start["csrf_token"]
		await self._answer(start["session"]["questions"])
		await self._get(GET_REVIEW, limit=1)
		lesson = await self._get(GET_LESSON, limit=QUESTIONS_A_LESSON)
		if lesson["questions"]:
			await self._answer(lesson["questions"])
		self.log.sittings.append(self.requests)

	async def _load(self) -> dict[str, Any]:
		"""Loads the page, until there is one. Returns what it starts with."""
		while True:
			_head, body = await self._request(PAGE, "GET", "/review")
			if found := START.search(body):
				return json.loads(found[1])
			await asyncio.sleep(FIRST_PAUSE_SECONDS)

	async def _answer(self, questions: list[dict[str, Any]]) -> None:
		"""Answers all, and those that were wrong once more, until they are right."""
		cards, waiting = [(question["question_id"], False) for question in questions], []
		while cards:
			question_id, practice = cards.pop(0)
			seconds = LOOK_SECONDS + self.random.lognormvariate(LOG_MEAN, LOG_SPREAD)
			seconds = min(max(seconds, LEAST_SECONDS), MOST_SECONDS)
			await asyncio.sleep(seconds)
			is_right = practice or self.random.random() < self.share_right
			quality = self.random.choice(RIGHT if is_right else WRONG)
			took = int((seconds - LOOK_SECONDS) * 1000)
			waiting.append(
				{
					"question_id": question_id,
					"quality": quality,
					"practice": practice,
					"response_time_ms": took,
				}
			)
			if not is_right:
				cards.append((question_id, True))
			if len(waiting) > BATCH:
				await self._submit(waiting[:BATCH])
				del waiting[:BATCH]
		await self._submit(waiting)

	async def _submit(self, answers: list[dict[str, Any]]) -> None:
		"""Sends answers until they are acknowledged; two to one question go one after the other."""
		for batch in of_different_questions(answers):
			submission = uuid4().hex
			body = {"responses": batch, "submission_id": submission}
			result = await self._until_answered(SUBMIT_REVIEW, "POST", body)
			rejected = {one["question_id"] for one in result["rejected"]}
			now = time.monotonic()
			self.log.acknowledged += [
				(now, submission, answer["question_id"])
				for answer in batch
				if answer["question_id"] not in rejected
			]

	async def _get(self, method: str, **arguments: Any) -> dict[str, Any]:
		query = "&".join(f"{name}={value}" for name, value in {**arguments, "preview": 1}.items())
		return await self._until_answered(method, "GET", None, f"?{query}")

	async def _until_answered(
		self, method: str, verb: str, body: dict[str, Any] | None, query: str = ""
	) -> dict[str, Any]:
		"""Calls an endpoint, after longer and longer pauses, until the status is 200. Returns its result."""
		pause = FIRST_PAUSE_SECONDS
		while (result := await self._try(method, verb, body, query)) is None:
			await asyncio.sleep(pause)
			pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
		return result

	async def call(self, method: str) -> Any:
		"""Calls an endpoint by GET once. Returns its result; None unless the status is 200."""
		return await self._try(method, "GET", None)

	async def _try(self, method: str, verb: str, body: dict[str, Any] | None, query: str = "") -> Any:
		"""Calls an endpoint. Returns its result; None unless the status is 200."""
		head, content = await self._request(
			method.rpartition(".")[2], verb, f"/api/method/{method}{query}", body
		)
		return json.loads(content)["message"] if status_of(head) == ANSWERED else None

	async def _request(
		self, kind: str, verb: str, path: str, body: dict[str, Any] | None = None
	) -> tuple[bytes, bytes]:
		"""Sends a request on a connection of its own: between two requests of a pupil a server closes an idle one."""
		content = json.dumps(body).encode() if body else b""
		lines = [
			f"{verb} {path} HTTP/1.1",
			f"Host: {self.address[0]}:{self.address[1]}",
			f"Accept: {'text/html' if kind == PAGE else 'application/json'}",
			f"Cookie: {self.cookie}",
			f"X-Frappe-CSRF-Token: {self.token}",
			f"Content-Length: {len(content)}",
			"Content-Type: application/json",
			"Connection: close",
		]
		request = "\r\n".join(lines).encode() + b"\r\n\r\n" + content
		begin = time.monotonic()
		try:
			head, found = await asyncio.wait_for(exchange(self.address, request), TIMEOUT_SECONDS)
		except (OSError, asyncio.TimeoutError):
			head = found = b""
		self.requests += 1
		self.log.sent.append(Sent(kind, status_of(head), begin, (time.monotonic() - begin) * 1000))
		return head, found


def of_different_questions(answers: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
	"""Yields the submissions in which outbox.js sends these answers: a submission holds one answer to a question."""
	batch: dict[str, dict[str, Any]] = {}
	for answer in answers:
		if answer["question_id"] in batch:
			yield list(batch.values())
			batch = {}
		batch[answer["question_id"]] = answer
	if batch:
		yield list(batch.values())
