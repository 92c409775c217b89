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
from memora.services.learning.learners import identify

GET_REVIEW = "memora.api.reviews.get_review_session"
SUBMIT_REVIEW = "memora.api.reviews.submit_review_session"
GET_LESSON = "memora.api.sessions.get_lesson_session"
SUBMIT_LESSON = "memora.api.sessions.submit_lesson_session"

SEED = 20260904  # another seed makes other learners
AT_A_TIME = 8  # the web server's threads: with more learners the timings would include time in its queue
QUESTIONS_A_LESSON = 10
QUESTIONS_A_REVIEW = 20
RIGHT, WRONG = (3, 4, 4, 4, 5), (0, 1, 1, 2)  # qualities; a repeated one is chosen more often
SHARE_RIGHT = (0.7, 0.97)  # right answers of the weakest and of the best learner
LOG_TIME_MEAN, LOG_TIME_SPREAD = 8.7, 0.6  # of the natural log of milliseconds: most answers take 3 to 11 s


class Learner:
	"""A learner who reviews due questions, learns new ones, and counts her acknowledged answers."""

	def __init__(self, client: Client) -> None:
		self.client = client
		self.random = Random(f"{SEED}:{client.user}")
		self.share_right = self.random.uniform(*SHARE_RIGHT)
		self.acknowledged: Counter[str] = Counter()

	@property
	def user(self) -> str:
		return self.client.user

	@property
	def id(self) -> str:
		return identify(self.user)

	def review_all(self) -> None:
		"""Answers until nothing is due. Raises Failure if a question comes a second time."""
		answered: set[str] = set()
		while ids := _ids(self.client.get(GET_REVIEW, limit=QUESTIONS_A_REVIEW)):
			if again := answered & set(ids):
				raise Failure(f"{self.user} was asked questions she has just answered: {sorted(again)}")
			answered.update(ids)
			self.submit(SUBMIT_REVIEW, [self._graded(question_id) for question_id in ids])

	def learn(self, lessons: int) -> None:
		"""Takes lessons, and answers their questions by choosing an option. Raises Failure if a question is not new."""
		for _number in range(lessons):
			lesson = self.client.get(GET_LESSON, limit=QUESTIONS_A_LESSON)
			ids = _ids(lesson)
			if known := self.acknowledged.keys() & set(ids):
				raise Failure(f"{self.user} was taught questions she has answered before: {sorted(known)}")
			if ids:
				self.submit(SUBMIT_LESSON, [self._chosen(q) for q in lesson["questions"]])

	def submit(self, method: str, responses: list[dict[str, Any]]) -> None:
		"""Sends answers. Raises Failure if an answer is not accepted, or if the response is degraded."""
		result = self.client.post(method, responses=responses, submission_id=uuid4().hex)
		ids = {response["question_id"] for response in responses}
		if result["rejected"] or result["is_degraded"] or result["schedule"].keys() != ids:
			raise Failure(f"{method} did not accept all answers of {self.user} to {sorted(ids)}: {result}")
		self.acknowledged.update(ids)

	def _graded(self, question_id: str) -> dict[str, Any]:
		quality = self.random.choice(RIGHT if self._is_right() else WRONG)
		return {"question_id": question_id, "quality": quality, "response_time_ms": self._time_ms()}

	def _chosen(self, question: dict[str, Any]) -> dict[str, Any]:
		"""Chooses an option. Where there are none, the learner says herself whether she was right."""
		is_right, answer = self._is_right(), {"question_id": question["question_id"]}
		keys = [option["key"] for option in question["options"] if option["is_correct"] == is_right]
		graded = {"chosen": self.random.choice(keys)} if keys else {"is_correct": is_right}
		return {**answer, **graded, "response_time_ms": self._time_ms()}

	def _is_right(self) -> bool:
		return self.random.random() < self.share_right

	def _time_ms(self) -> int:
		return int(self.random.lognormvariate(LOG_TIME_MEAN, LOG_TIME_SPREAD))


def at_once(learners: list[Learner], work: Callable[[Learner], object]) -> float:
	"""Runs the work for all learners, AT_A_TIME side by side. Returns the seconds. Raises the first learner's error."""
	begin = time.perf_counter()
	with ThreadPoolExecutor(AT_A_TIME) as pool:
		list(pool.map(work, learners))
	return time.perf_counter() - begin


def _ids(session: dict[str, Any]) -> list[str]:
	"""Returns the ids of a session's questions. Raises Failure if the session is degraded or a question has no content."""
	if session.get("is_degraded") or any(not q.get("question") for q in session["questions"]):
		raise Failure(f"A session is degraded or lacks content: {session}")
	return [question["question_id"] for question in session["questions"]]
