"""A bench on this machine, as bench itself sees it: its folder, its user, its programs, its Redis and its ports."""

import getpass
import grp
import os
import pwd
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import frappe
import redis
from frappe import _
from redis.exceptions import RedisError

from memora.exceptions import SetupRefused
from memora.services.cache import addresses, connections

FOLDERS = ("apps", "sites", "config", "logs", "config/pids")  # by these bench knows a bench
PORTS = range(13100, 13200)
PORT_SETTINGS = ("webserver_port", "socketio_port", "file_watcher_port")
MEMORY = re.compile(r"[1-9]\d*(?:mb|gb)")
SHARE_OF_MEMORY = 4  # a fourth: MariaDB, web processes and the copy while the file is rewritten need the rest
LEAST_MB = 256
SECONDS_TO_ASK = 0.5  # a program of this machine


@dataclass(frozen=True)
class Bench:
	folder: Path
	user: str
	group: str
	command: str

	@property
	def name(self) -> str:
		return self.folder.name

	@property
	def ours(self) -> Path:
		"""The folder of our files, which no command of bench writes to."""
		return self.folder / "config" / "memora"

	@property
	def common(self) -> Path:
		return self.folder / "sites" / "common_site_config.json"

	@property
	def is_systemd(self) -> bool:
		"""Says whether bench has made units for systemd, and no configuration for supervisor."""
		return (self.folder / "config" / "systemd").is_dir() and not self.supervisor.exists()

	@property
	def supervisor(self) -> Path:
		return self.folder / "config" / "supervisor.conf"

	@property
	def runs_queue(self) -> bool:
		"""Says whether bench has the queue's Redis run: not with `bench setup supervisor --skip-redis`."""
		if self.is_systemd or not self.supervisor.exists():
			return True
		return f"[program:{self.name}-redis-queue]" in self.supervisor.read_text()

	@property
	def has_worker(self) -> bool:
		"""Says whether bench's configuration of supervisor has the worker of srs_write already."""
		return self.supervisor.exists() and "-frappe-srs_write-worker]" in self.supervisor.read_text()


def find_bench(folder: Path) -> Bench:
	"""Returns the bench in a folder. Raises SetupRefused if it is none, is another user's, or bench is missing."""
	folder = folder.resolve()
	lacking = [name for name in FOLDERS if not (folder / name).is_dir()]
	if lacking:
		raise SetupRefused(_("{0} is no bench: it has no folder {1}.").format(folder, ", ".join(lacking)))
	owner, user = pwd.getpwuid(folder.stat().st_uid), getpass.getuser()
	if owner.pw_uid != os.geteuid():
		text = _("The bench {0} belongs to {1}, and this command runs as {2}. Run it as {1}.")
		raise SetupRefused(text.format(folder, owner.pw_name, user))
	group = grp.getgrgid(owner.pw_gid).gr_name
	return Bench(folder, owner.pw_name, group, program("bench"))


def program(name: str) -> str:
	"""Returns the path of a program. Raises SetupRefused if there is none."""
	if path := shutil.which(name):
		return path
	raise SetupRefused(_("The program {0} is not on the PATH. Install it first.").format(name))


# Redis


def check_addresses(conf: dict[str, Any]) -> None:
	"""Raises SetupRefused if the URL of a Redis is none."""
	for name in ("redis_cache", "redis_queue", connections.URL):
		try:
			addresses.readable(conf.get(name) or "redis://localhost", name)
		except addresses.InvalidConfiguration as error:
			raise SetupRefused(str(error)) from None


def is_here(url: str) -> bool:
	"""Says whether a URL names a Redis at this machine's own address, which nobody else can reach."""
	parts = urlsplit(url)
	return parts.scheme == "redis" and parts.hostname in ("localhost", "127.0.0.1", "::1")


def is_ours_to_run(conf: dict[str, Any]) -> bool:
	"""Says whether the schedules' Redis is one server of this machine: no Sentinels, no cluster, no other host."""
	place = connections.place(conf)
	elsewhere = place.is_cluster or place.sentinel != "null"
	return not elsewhere and is_here(conf.get(connections.URL) or "redis://localhost")


def choose_port(bench: Bench, conf: dict[str, Any], wanted: int | None) -> int:
	"""Returns the port of the schedules' Redis: the one asked for, else the configured one, else the first free one.

	Raises SetupRefused if somebody else has the port.
	"""
	url = conf.get(connections.URL)
	if url and urlsplit(url).password:
		raise SetupRefused(
			_("srs_redis_cache has a password, and this command makes a Redis without one: --skip-redis.")
		)
	port = wanted or (urlsplit(url).port or 6379 if url else None)
	taken = {port for folder in _benches(bench) for port in _ports_of(folder)}
	if not port:
		return next(p for p in PORTS if p not in taken and not _is_anothers(bench, p))
	own = _ports({name: conf.get(name) for name in ("redis_cache", "redis_queue", *PORT_SETTINGS)})
	if port in own or _is_anothers(bench, port):
		text = _(
			"Port {0} of this machine is used by another program. Choose another for the schedules' Redis: --port. If you run that Redis yourself: --skip-redis."
		)
		raise SetupRefused(text.format(port))
	return port


def _benches(bench: Bench) -> Iterator[Path]:
	"""Yields this bench and those beside it: bench chooses its ports by looking at the same."""
	for file in bench.folder.parent.glob("*/sites/common_site_config.json"):
		yield file.parent.parent


def _ports_of(folder: Path) -> set[int]:
	with suppress(OSError, ValueError, AttributeError):
		return _ports(frappe.parse_json((folder / "sites" / "common_site_config.json").read_text()))
	return set()


def _ports(conf: dict[str, Any]) -> set[int]:
	urls = [
		str(value)
		for name, value in conf.items()
		if name.endswith(("redis_cache", "redis_queue", "redis_socketio"))
	]
	found = {urlsplit(url).port for url in urls}
	return {port for port in (*found, *(conf.get(name) for name in PORT_SETTINGS)) if port}


def _is_anothers(bench: Bench, port: int) -> bool:
	"""Says whether somebody listens at a port, other than the Redis that runs with our file."""
	with socket.socket() as probe:
		probe.settimeout(SECONDS_TO_ASK)
		if probe.connect_ex(("127.0.0.1", port)):
			return False
	try:
		told: Any = redis.Redis(port=port, socket_timeout=SECONDS_TO_ASK).info("server")
		file = told.get("config_file")
	except (RedisError, OSError):
		return True
	return not file or Path(file).resolve() != (bench.ours / "redis_srs.conf").resolve()


def choose_memory(bench: Bench, wanted: str | None) -> str:
	"""Returns the maxmemory of the schedules' Redis: what is asked for, else what our file says, else a share of this machine's."""
	if wanted and not MEMORY.fullmatch(wanted.lower()):
		raise SetupRefused(
			_("--memory must be a number with mb or gb, for example 2gb. It is {0}.").format(wanted)
		)
	file = bench.ours / "redis_srs.conf"
	before = re.findall(r"^maxmemory (\S+)$", file.read_text(), re.MULTILINE) if file.exists() else []
	if wanted or before:
		return (wanted or before[0]).lower()
	return f"{max(LEAST_MB, _memory_mb() // SHARE_OF_MEMORY)}mb"


def _memory_mb() -> int:
	"""Returns the memory of this machine, or of this container if that is less."""
	amounts = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
	with suppress(OSError, ValueError):  # no such file, or the word max
		amounts.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
	return min(amounts) // 2**20
