"""Requests at times fixed in advance, whatever has been answered by then: an open loop.

Latency counts from the moment at which a request was to be sent. So a server that stalls does not hide it by
keeping later requests from being sent. Every request has a connection of its own, as learners who come once have:
that leaves nothing to be chosen, and a client of bare sockets takes least from the server under test.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

ANSWER_SECONDS = 600  # who gave up sooner would leave a backlog to what is measured next
NOT_ANSWERED = 0  # the status of such a request


@dataclass(frozen=True)
class Request:
	"""What is sent so many seconds after the beginning: HTTP/1.1 with `Connection: close`."""

	at_seconds: float
	content: bytes


@dataclass(frozen=True)
class Answer:
	"""`ms` from when the request was to be sent, `at_seconds` from the beginning, both until all had come."""

	status: int
	body: bytes
	ms: float
	at_seconds: float


def arrivals(per_second: float, seconds: float, random: Random) -> list[float]:
	"""Seconds from the beginning, as those of people who do not know of each other: a Poisson process."""
	return sorted(random.uniform(0, seconds) for _ in range(round(per_second * seconds)))


async def send_all(address: tuple[str, int], requests: Sequence[Request], begin: float) -> list[Answer]:
	"""The answers in the order of the requests. `begin` is a time of the monotonic clock."""
	tasks = []
	for request in requests:
		await asyncio.sleep(begin + request.at_seconds - time.monotonic())
		tasks.append(asyncio.create_task(_send(address, request, begin)))
	return await asyncio.gather(*tasks)


async def _send(address: tuple[str, int], request: Request, begin: float) -> Answer:
	try:
		content = await asyncio.wait_for(_exchange(address, request.content), ANSWER_SECONDS)
	except (OSError, asyncio.TimeoutError):
		content = b""
	at_seconds = time.monotonic() - begin
	head, _, body = content.partition(b"\r\n\r\n")
	status = int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/") else NOT_ANSWERED
	return Answer(status, body, (at_seconds - request.at_seconds) * 1000, at_seconds)


async def _exchange(address: tuple[str, int], content: bytes) -> bytes:
	reader, writer = await asyncio.open_connection(*address)
	try:
		writer.write(content)
		return await reader.read()
	finally:
		writer.close()
