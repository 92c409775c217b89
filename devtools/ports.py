"""The bench's loopback ports: well away from the system services' own, remembered, replaced when taken."""

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
	"""The remembered port of a service that is about to start, or the next free one, from now on remembered.

	Two benches that start at the same moment get different ports: each reserves its own before the service listens.
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
	"""Says whether the port is this process's from now until it ends.

	A socket with a name in Linux's abstract namespace stands for the port: all users of the machine see it, it leaves no file,
	and the kernel removes it when its process is gone, however that ended.
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
	"""Nobody listens at a port for the block, nor can begin to: who connects is refused."""
	with socket.socket() as holder:
		holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last server linger
		holder.bind(("127.0.0.1", port))
		holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # which the next one must allow, too
		yield
