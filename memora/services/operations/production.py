"""What an installation needs and bench does not make: files of our own, and what to run so that they are used.

All files but one lie in <bench>/config/memora, where no command of bench writes. The other is common_site_config.json.
"""

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

from frappe import _

from memora.exceptions import SetupRefused
from memora.services.operations import production_bench, production_config
from memora.services.operations.production_bench import Bench

TEMPLATES = Path(__file__).parents[2] / "data" / "production"


@dataclass(frozen=True)
class Options:
	"""`port` and `memory` are those of the schedules' Redis, None for what suits."""

	port: int | None = None
	memory: str | None = None
	skip_redis: bool = False
	systemd: bool = False


@dataclass(frozen=True)
class File:
	path: Path
	before: str
	after: str

	@property
	def changes(self) -> bool:
		return self.before != self.after or not self.path.exists()

	def diff(self) -> str:
		"""Returns the change as a unified diff. Passwords, and settings that are not ours, are not in it."""
		hide = production_config.without_secrets if self.path.suffix == ".json" else str
		before, after = (hide(text).splitlines() if text else [] for text in (self.before, self.after))
		source = str(self.path) if self.path.exists() else "/dev/null"
		return "\n".join(difflib.unified_diff(before, after, source, str(self.path), lineterm=""))


@dataclass(frozen=True)
class Plan:
	"""`folders` are those that must be there. `queue` is the URL of the queue's Redis if bench runs it."""

	bench: Bench
	site: str
	files: list[File]
	folders: list[Path] = field(default_factory=list)
	queue: str | None = None
	systemd: bool = False

	@property
	def changed(self) -> list[File]:
		return [file for file in self.files if file.changes]


def make_plan(folder: Path, site: str, conf: dict[str, Any], options: Options) -> Plan:
	"""Returns what is to be written for a site whose configuration is `conf`. Raises SetupRefused. Changes nothing."""
	bench = production_bench.find_bench(folder)
	production_bench.check_addresses(conf)
	systemd = options.systemd or bench.is_systemd
	port = _port(bench, conf, options)
	queue = None if options.skip_redis else _queue(bench, conf)
	facts = {
		**{"bench": str(bench.folder), "folder": str(bench.ours), "name": bench.name, "user": bench.user},
		**{"group": bench.group, "bench_command": bench.command},
		**({"redis_server": production_bench.program("redis-server")} if port or queue else {}),
		**{"port": port, "memory": production_bench.choose_memory(bench, options.memory)},
		**_where(site, conf),
	}
	contents = {
		bench.ours / to.format(**facts): _rendered(names, facts)
		for to, names in _templates(bool(port), bool(queue), systemd)
	}
	common = _read(bench.common)
	files = [File(bench.common, common, production_config.merge(common, port))]
	files += [File(path, _read(path) if path.exists() else "", text) for path, text in contents.items()]
	folders = [bench.ours, *([bench.ours / "redis_srs"] if port else [])]
	return _checked(Plan(bench, site, files, folders, queue, systemd))


def _port(bench: Bench, conf: dict[str, Any], options: Options) -> int | None:
	"""Returns the port of the schedules' Redis, or None if somebody else runs it."""
	if options.skip_redis or not (options.port or production_bench.is_ours_to_run(conf)):
		return None
	return production_bench.choose_port(bench, conf, options.port)


def _queue(bench: Bench, conf: dict[str, Any]) -> str | None:
	url = conf.get("redis_queue") or ""
	if not production_bench.is_here(url) or not bench.runs_queue:
		return None
	if not (bench.folder / "config" / "redis_queue.conf").exists():
		raise SetupRefused(_("config/redis_queue.conf is missing. Run: bench setup redis"))
	return url


def _templates(runs_redis: bool, runs_queue: bool, systemd: bool) -> Iterator[tuple[str, list[str]]]:
	"""Yields each file, with places in its name, and the templates that it is made of."""
	yield "nginx.conf", ["nginx.conf"]
	yield "prometheus.{site}.yml", ["prometheus.yml"]
	if runs_redis:
		yield "redis_srs.conf", ["redis_srs.conf"]
	if runs_queue:
		yield "redis_queue.conf", ["redis_queue.conf"]
	if systemd:
		yield "systemd/{name}-frappe-srs_write-worker@.service", ["srs_write-worker.service"]
		if runs_redis:
			yield "systemd/{name}-redis-srs.service", ["redis-srs.service"]
		if runs_queue:
			yield "systemd/{name}-redis-queue.service.d/memora.conf", ["redis-queue.service.conf"]
	elif runs_redis or runs_queue:
		parts = {"supervisor.conf": runs_redis, "supervisor_queue.conf": runs_queue}
		yield "supervisor.conf", [part for part, is_wanted in parts.items() if is_wanted]


def _rendered(names: list[str], facts: dict[str, Any]) -> str:
	"""Returns templates with their places filled. nginx's has none: its variables begin with the same sign."""
	texts = [(TEMPLATES / name).read_text(encoding="utf-8") for name in names]
	return "".join(text if names == ["nginx.conf"] else Template(text).substitute(facts) for text in texts)


def _where(site: str, conf: dict[str, Any]) -> dict[str, str]:
	"""Returns under which name nginx finds a site: its host_name if it has one, else a domain of the site, else its own name."""
	named = urlsplit(conf.get("host_name") or "")
	if named.hostname:
		return {"site": site, "scheme": named.scheme, "host": named.netloc}
	domain = next(iter(conf.get("domains") or []), site)
	certified = conf if isinstance(domain, str) else domain
	host = domain if isinstance(domain, str) else domain["domain"]
	scheme = "https" if certified.get("ssl_certificate") or conf.get("wildcard") else "http"
	port = conf.get("nginx_port") if not conf.get("dns_multitenant") else None
	return {"site": site, "scheme": scheme, "host": f"{host}:{port}" if port else host}


def _read(path: Path) -> str:
	try:
		return path.read_text(encoding="utf-8")
	except (OSError, UnicodeDecodeError) as error:
		raise SetupRefused(_("{0} can't be read: {1}").format(path, error)) from error


def _checked(plan: Plan) -> Plan:
	"""Returns the plan. Raises SetupRefused if a file can't be written, before any is."""
	for path in [*plan.folders, *(file.path for file in plan.changed)]:
		there = next(parent for parent in (path, *path.parents) if parent.exists())
		if not os.access(there, os.W_OK):
			raise SetupRefused(_("{0} can't be written. It belongs to another user.").format(there))
	return plan


def write(plan: Plan) -> None:
	"""Writes all files. One that is there keeps its mode, and is replaced at once: bench may read it meanwhile."""
	for folder in plan.folders:
		folder.mkdir(mode=0o700 if folder.name == "redis_srs" else 0o755, parents=True, exist_ok=True)
	for file in plan.changed:
		target = file.path.resolve()
		target.parent.mkdir(parents=True, exist_ok=True)
		part = target.with_name(f".{target.name}.part")
		part.write_text(file.after, encoding="utf-8")
		part.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
		part.replace(target)
