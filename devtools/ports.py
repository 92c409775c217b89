"""Chooses the bench's loopback ports, away from those of system services. A bench keeps its ports unless one is taken."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from devtools.paths import Bench

PREFERRED = {
	"mariadb": 13306,
	"cache": 13000,
	"queue": 11000,
	"srs": 13100,
	"web": 8008,
	"rq-dashboard": 9181,
}
TRIES = 500

_reserved: dict[int, socket.socket] = {}


def known(bench: Bench) -> dict[str, int]:
	path = bench.run / "ports.json"
	if not path.is_file():
		return dict(PREFERRED)
	return {**PREFERRED, **json.loads(path.read_text())}


def claim(bench: Bench, name: str) -> int:
	"""Returns a port for a service that is about to start, and remembers the port. Takes the port of last time, or the next free one.

	Two benches that start at once get different ports, because each reserves a port before its service listens.
	"""
	ports = known(bench)
	others = {port for other, port in ports.items() if other != name}
	candidates = (port for port in range(ports[name], ports[name] + TRIES) if port not in others)
	ports[name] = next(port for port in candidates if _reserve(port) and is_free(port))
	part = bench.run / "ports.part"
	part.write_text(json.dumps(ports, indent=1))
	part.replace(bench.run / "ports.json")
	return ports[name]


def _reserve(port: int) -> bool:
	"""Reserves a port for this process until the process ends. Returns False if another process has reserved the port.

	A socket with a name in Linux's abstract namespace stands for the port. All users of the machine see such a socket, and it
	leaves no file. The kernel removes it when the process ends, even by `kill -9`.
	"""
	if port in _reserved:
		return True
	sign = socket.socket(socket.AF_UNIX)
	try:
		sign.bind(f"\0memora-port-{port}")
	except OSError:
		sign.close()
		return False
	_reserved[port] = sign
	return True


def is_free(port: int) -> bool:
	with socket.socket() as probe:
		probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		try:
			probe.bind(("127.0.0.1", port))
		except OSError:
			return False
	return True


def any_free() -> int:
	with socket.socket() as probe:
		probe.bind(("127.0.0.1", 0))
		return probe.getsockname()[1]


@contextmanager
def held(port: int) -> Iterator[None]:
	"""Occupies a port for the block without listening. Nobody else can listen there, and connections are refused."""
	with socket.socket() as holder:
		# set for the bind, because old connections of the last server may linger at the port
		holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		holder.bind(("127.0.0.1", port))
		# unset now, or another socket could bind the port
		holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
		yield
