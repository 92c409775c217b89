"""Section `endpoints`: times a read of 20 questions, a submission of 20 answers and an authenticated no-op, over HTTP.

The three kinds take turns, a few requests each, so that other load on the machine slows all three alike. Each round
runs with one client first, then with four clients at once. A ratio is the p50 of a kind divided by the p50 of the
no-op, both with one client.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import chain, cycle, islice, permutations
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from benchmarks import perf_data, site
from benchmarks.perf_data import Learner
from benchmarks.report import Section, number, percentile, table
from devtools.report import Failure, step

NOOP, READ, SUBMIT = "noop", "read", "submit20"
ANSWERS = 20  # in a submission; a read asks for as many questions
ROUNDS, LEAST_ROUNDS = 12, 5
ENOUGH_SECONDS = 40  # after which no further round begins, once LEAST_ROUNDS are done
TURNS, REQUESTS_A_TURN = 6, 5  # for each kind in a round, with one client
CLIENTS, REQUESTS_EACH = 4, 10  # for each kind in a round, side by side
WARM_UP_REQUESTS = 10  # for each kind and client, so that every server process has answered some
TIMEOUT_SECONDS = 30
LIMITS = {READ: 1.6, SUBMIT: 3.0}  # the largest ratios allowed


class Client:
	"""A client with one keep-alive connection, which acts for some learners in turn.

	It uses http.client, because a larger library would add its own milliseconds to each request.
	"""

	def __init__(self, learners: list[Learner], url: str = "") -> None:
		address = urlsplit(url or site.url()).netloc
		self._http = HTTPConnection(address, timeout=TIMEOUT_SECONDS)
		self._learners = cycle(learners)

	def run(self, kind: str, requests: int) -> list[tuple[Learner, tuple[float, int, bytes]]]:
		"""Sends requests of one kind, one after the other. Returns each learner with what `request` returned."""
		return [(learner, self.request(learner, kind)) for learner in islice(self._learners, requests)]

	def request(self, learner: Learner, kind: str) -> tuple[float, int, bytes]:
		"""Sends one request. Returns the milliseconds until the whole response had come, the status and the body."""
		verb, path, body = REQUESTS[kind](learner)
		headers = {"Authorization": f"token {learner.key}:{learner.secret}"}
		if body:
			headers["Content-Type"] = "application/json"
		begin = time.perf_counter()
		self._http.request(verb, path, body, headers)
		response = self._http.getresponse()
		content = response.read()
		return (time.perf_counter() - begin) * 1000, response.status, content


def _noop(learner: Learner) -> tuple[str, str, str | None]:
	return "GET", "/api/method/frappe.auth.get_logged_user", None


def _read(learner: Learner) -> tuple[str, str, str | None]:
	return "GET", f"/api/method/memora.api.reviews.get_review_session?limit={ANSWERS}", None


def _submit(learner: Learner) -> tuple[str, str, str | None]:
	answers = [
		{"question_id": question_id, "quality": 3 + index % 3, "response_time_ms": 4000 + index}
		for index, question_id in enumerate(learner.next_questions(ANSWERS))
	]
	body = json.dumps({"responses": answers, "submission_id": uuid4().hex})
	return "POST", "/api/method/memora.api.reviews.submit_review_session", body


REQUESTS: dict[str, Callable[[Learner], tuple[str, str, str | None]]] = {
	NOOP: _noop,
	READ: _read,
	SUBMIT: _submit,
}


def _is_right(kind: str, learner: Learner, message: Any) -> bool:
	if kind == NOOP:
		return message == learner.user
	if kind == READ:
		return len(message["questions"]) == ANSWERS and not message["is_degraded"]
	return message["processed"] == ANSWERS and not message["is_degraded"]


def check(kind: str, learner: Learner, status: int, content: bytes) -> None:
	"""Raises Failure if a response is not what was asked for. An error would otherwise count as a fast response."""
	message = json.loads(content).get("message") if status == 200 else None
	if not message or not _is_right(kind, learner, message):
		raise Failure(f"{kind} of {learner.user} was answered {status}: {content[:300].decode()}")


@dataclass
class Measured:
	"""Figures of one kind with one number of clients: milliseconds of each request, and seconds of all rounds."""

	ms: list[float] = field(default_factory=list)
	seconds: float = 0.0

	@property
	def rps(self) -> float:
		return len(self.ms) / self.seconds


Results = dict[tuple[str, int], Measured]  # by kind and number of clients


def measure(arguments: argparse.Namespace) -> Section:
	results: Results = {(kind, clients): Measured() for kind in REQUESTS for clients in (1, CLIENTS)}
	with perf_data.prepared() as (season, learners):
		with step("Warming up"):
			for kind in REQUESTS:
				_run(Measured(), kind, _clients(learners), WARM_UP_REQUESTS)
			perf_data.make_due_again(season, learners)
		with step(f"Measuring in up to {ROUNDS} rounds"):
			for number_of_round in _rounds():
				_round(results, learners, number_of_round)
				perf_data.make_due_again(season, learners)
	return Section(_figures(results), _text(results))


def _rounds() -> Iterator[int]:
	deadline = time.monotonic() + ENOUGH_SECONDS
	for number_of_round in range(ROUNDS):
		if number_of_round < LEAST_ROUNDS or time.monotonic() < deadline:
			yield number_of_round


def _round(results: Results, learners: list[Learner], number_of_round: int) -> None:
	"""Measures every kind, each time in another order, so that no kind always follows the same other kind."""
	alone = [Client(learners)]
	for turn in range(TURNS):
		for kind in _kinds(number_of_round + turn):
			_run(results[kind, 1], kind, alone, REQUESTS_A_TURN)
	together = _clients(learners)
	for kind in _kinds(number_of_round):
		_run(results[kind, CLIENTS], kind, together, REQUESTS_EACH)


def _kinds(turn: int) -> tuple[str, ...]:
	orders = list(permutations(REQUESTS))
	return orders[turn % len(orders)]


def _clients(learners: list[Learner]) -> list[Client]:
	"""Makes clients with learners of their own: two submissions of one learner would wait for each other."""
	return [Client(learners[number::CLIENTS]) for number in range(CLIENTS)]


def _run(measured: Measured, kind: str, clients: list[Client], requests: int) -> None:
	"""Has all clients send requests of one kind at once. Checks the responses, and adds them to the figures."""
	begin = time.perf_counter()
	with ThreadPoolExecutor(len(clients)) as pool:
		runs = list(pool.map(lambda client: client.run(kind, requests), clients))
	measured.seconds += time.perf_counter() - begin
	for learner, (ms, status, content) in chain(*runs):
		check(kind, learner, status, content)
		measured.ms.append(ms)


# Figures


def _ratio(results: Results, kind: str) -> float:
	return percentile(results[kind, 1].ms, 0.5) / percentile(results[NOOP, 1].ms, 0.5)


def _figures(results: Results) -> dict[str, float]:
	figures = {f"{kind}_p50_ratio": _ratio(results, kind) for kind in (READ, SUBMIT)}
	for kind in REQUESTS:
		figures[f"{kind}_rps"] = results[kind, CLIENTS].rps
	for (kind, clients), measured in results.items():
		suffix = "" if clients == 1 else f"_{clients}_clients"
		figures[f"{kind}_p50_ms{suffix}"] = percentile(measured.ms, 0.5)
		figures[f"{kind}_p99_ms{suffix}"] = percentile(measured.ms, 0.99)
	return {name: round(value, 3) for name, value in figures.items()}


def _text(results: Results) -> str:
	rows = [["endpoints", "clients", "requests", "p50 ms", "p99 ms", "requests/s", "p50 ratio", "at most"]]
	for (kind, clients), measured in results.items():
		alone = clients == 1 and kind in LIMITS
		rows.append(
			[
				kind,
				str(clients),
				number(len(measured.ms)),
				number(percentile(measured.ms, 0.5), 2),
				number(percentile(measured.ms, 0.99), 2),
				number(measured.rps),
				number(_ratio(results, kind), 2) if alone else "",
				number(LIMITS[kind], 1) if alone else "",
			]
		)
	return table(rows)
