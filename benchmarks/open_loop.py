"""An open loop: requests are sent at times fixed in advance, whether or not earlier requests have been answered.

Latency counts from the moment at which a request was due to be sent. A server that stalls can't hide the stall by
delaying later requests. Every request has a connection of its own, like a learner who comes once. The client uses bare
sockets, because they take the least time from the server under test.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

ANSWER_SECONDS = 600  # giving up sooner would leave a backlog, which the next measurement would meet
NOT_ANSWERED = 0  # the status of a request that got no answer


@dataclass(frozen=True)
class Request:
	"""A request, and the seconds after the beginning at which it is sent: HTTP/1.1 with `Connection: close`."""

	at_seconds: float
	content: bytes


@dataclass(frozen=True)
class Answer:
	"""The response to one request.

	`ms` counts from the moment at which the request was due to be sent, `at_seconds` from the beginning of the load.
	Both end when the whole response has come.
	"""

	status: int
	body: bytes
	ms: float
	at_seconds: float


def arrivals(per_second: float, seconds: float, random: Random) -> list[float]:
	"""Returns when requests are due, in seconds from the beginning: a Poisson process, as of people who act independently."""
	return sorted(random.uniform(0, seconds) for _ in range(round(per_second * seconds)))


async def send_all(address: tuple[str, int], requests: Sequence[Request], begin: float) -> list[Answer]:
	"""Sends all requests and returns the answers in the order of the requests. `begin` is a time of the monotonic clock."""
	tasks = []
	for request in requests:
		await asyncio.sleep(begin + request.at_seconds - time.monotonic())
		tasks.append(asyncio.create_task(_send(address, request, begin)))
	return await asyncio.gather(*tasks)


async def _send(address: tuple[str, int], request: Request, begin: float) -> Answer:
	try:
		head, body = await asyncio.wait_for(exchange(address, request.content), ANSWER_SECONDS)
	except (OSError, asyncio.TimeoutError):
		head = body = b""
	at_seconds = time.monotonic() - begin
	return Answer(status_of(head), body, (at_seconds - request.at_seconds) * 1000, at_seconds)


async def exchange(address: tuple[str, int], content: bytes) -> tuple[bytes, bytes]:
	"""Sends a request on a connection of its own. Returns head and body of the response. Raises OSError."""
	reader, writer = await asyncio.open_connection(*address)
	try:
		writer.write(content)
		head, _, body = (await reader.read()).partition(b"\r\n\r\n")
		return head, body
	finally:
		writer.close()


def status_of(head: bytes) -> int:
	return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/") else NOT_ANSWERED
