"""Learners at work: lessons and reviews over HTTP, several learners at a time."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any
from uuid import uuid4

from benchmarks.client import Client
from devtools.report import Failure

GET_REVIEW = "memora.api.reviews.get_review_session"
SUBMIT_REVIEW = "memora.api.reviews.submit_review_session"
GET_LESSON = "memora.api.sessions.get_lesson_session"
SUBMIT_LESSON = "memora.api.sessions.submit_lesson_session"

SEED = 20260904  # another one makes other learners
AT_A_TIME = 8  # as many as the web server has threads: more would measure its queue
QUESTIONS_A_LESSON = 10
QUESTIONS_A_REVIEW = 20
RIGHT, WRONG = (3, 4, 4, 4, 5), (0, 1, 1, 2)  # qualities, as often as learners give them
SHARE_RIGHT = (0.7, 0.97)  # of the weakest and of the best learner
LOG_TIME_MEAN, LOG_TIME_SPREAD = 8.7, 0.6  # of the natural log of milliseconds: most take 3 to 11 s


class Pupil:
	"""A learner who reviews what is due, learns new questions, and counts what was acknowledged."""

	def __init__(self, client: Client) -> None:
		self.client = client
		self.random = Random(f"{SEED}:{client.user}")
		self.share_right = self.random.uniform(*SHARE_RIGHT)
		self.acknowledged: Counter[str] = Counter()

	@property
	def user(self) -> str:
		return self.client.user

	def review_all(self) -> None:
		"""Answers until nothing is due any more."""
		answered: set[str] = set()
		while ids := _ids(self.client.get(GET_REVIEW, limit=QUESTIONS_A_REVIEW)):
			if again := answered & set(ids):
				raise Failure(f"{self.user} was asked again what she has just answered: {sorted(again)}")
			answered.update(ids)
			self.submit(SUBMIT_REVIEW, [self._graded(question_id) for question_id in ids])

	def learn(self, lessons: int) -> None:
		"""Takes lessons; new questions come with options, which the learner gets right or wrong."""
		for _number in range(lessons):
			ids = _ids(self.client.get(GET_LESSON, limit=QUESTIONS_A_LESSON))
			if known := self.acknowledged.keys() & set(ids):
				raise Failure(f"{self.user} was taught what she has answered before: {sorted(known)}")
			if ids:
				self.submit(SUBMIT_LESSON, [self._chosen(question_id) for question_id in ids])

	def submit(self, method: str, responses: list[dict[str, Any]]) -> None:
		"""Sends answers; a Failure unless all of them were taken, undegraded."""
		result = self.client.post(method, responses=responses, submission_id=uuid4().hex)
		ids = {response["question_id"] for response in responses}
		if result["rejected"] or result["is_degraded"] or result["schedule"].keys() != ids:
			raise Failure(f"{method} of {self.user} did not take all of {sorted(ids)}: {result}")
		self.acknowledged.update(ids)

	def _graded(self, question_id: str) -> dict[str, Any]:
		quality = self.random.choice(RIGHT if self._is_right() else WRONG)
		return {"question_id": question_id, "quality": quality, "response_time_ms": self._time_ms()}

	def _chosen(self, question_id: str) -> dict[str, Any]:
		return {
			"question_id": question_id,
			"is_correct": self._is_right(),
			"response_time_ms": self._time_ms(),
		}

	def _is_right(self) -> bool:
		return self.random.random() < self.share_right

	def _time_ms(self) -> int:
		return int(self.random.lognormvariate(LOG_TIME_MEAN, LOG_TIME_SPREAD))


def at_once(pupils: list[Pupil], work: Callable[[Pupil], object]) -> float:
	"""Has all of them do the work, AT_A_TIME side by side; seconds it took. Raises what the first to fail raised."""
	begin = time.perf_counter()
	with ThreadPoolExecutor(AT_A_TIME) as pool:
		list(pool.map(work, pupils))
	return time.perf_counter() - begin


def _ids(session: dict[str, Any]) -> list[str]:
	"""The ids of a session's questions, each of which must have come with its content."""
	if session.get("is_degraded") or any(not q.get("question") for q in session["questions"]):
		raise Failure(f"A session is degraded or lacks content: {session}")
	return [question["question_id"] for question in session["questions"]]
