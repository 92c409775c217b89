"""A bench made by frappe/bench itself, the program with which operators run Frappe, beside the tests' own bench."""

import getpass
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import frappe

import devtools.redis
from devtools import mariadb
from devtools.paths import PROJECT, current_bench
from tests.integration.mariadb_server import HOST, Server
from tests.integration.redis_server import RedisServer

BENCH = shutil.which("bench")
FRAPPE = Path(os.environ.get("MEMORA_FRAPPE") or "-")
REDIS = ("cache", "queue", "srs")
REDIS_DATABASE = 7  # in the three servers of the tests' bench
UTF8 = ("--character-set-server=utf8mb4", "--collation-server=utf8mb4_unicode_ci")
TROUBLE = (
	"frappe/bench is not there (pip install frappe-bench)"
	if not BENCH
	else "MEMORA_FRAPPE names no git checkout of Frappe"
	if not (FRAPPE / ".git").exists()
	else ""
)
# Bench takes them from the repository of Frappe, and builds the desk with them, which these tests do without
STAND_INS = ("yarn",)
COMMIT = (
	"-c",
	"user.name=test",
	"-c",
	"user.email=test@example.com",
	"commit",
	"--quiet",
	"--all",
	"--message",
)


class Servers(NamedTuple):
	"""MariaDB's port, an administrator there, the beginning of its client's command line, and URLs by the names in REDIS."""

	port: int
	administrator: tuple[str, str]
	client: list[str]
	redis: dict[str, str]


@contextmanager
def servers_of_tests(*databases: str) -> Iterator[Servers]:
	"""Those of the tests' bench. What is made there under these names, and in databases of Redis, is removed."""
	bench = current_bench()
	urls = {name: devtools.redis.url(bench, name, REDIS_DATABASE) for name in REDIS}
	administrator = ("root", mariadb.root_password(bench))
	try:
		yield Servers(frappe.conf.db_port, administrator, mariadb.client(bench), urls)
	finally:
		for name in databases:
			mariadb.drop(bench, name)
		for name in REDIS:
			devtools.redis.empty(bench, name, REDIS_DATABASE)


@contextmanager
def servers_of_another_host(folder: Path) -> Iterator[Servers]:
	folder.mkdir()
	database, redis = Server(folder, options=UTF8), RedisServer(folder / "redis")
	redis.start()
	database.execute("GRANT ALL ON *.* TO bench@localhost IDENTIFIED BY 'bench' WITH GRANT OPTION")
	urls = {name: f"redis://{HOST}:{redis.port}/{number}" for number, name in enumerate(REDIS)}
	client = [mariadb.program("mariadb"), "--no-defaults", "--user=root", f"--socket={database.socket}"]
	try:
		yield Servers(database.port, ("bench", "bench"), client, urls)
	finally:
		redis.kill()
		database.stop()


class RealBench:
	"""`app` is the repository from which its memora comes: a clone of this one, as committed."""

	def __init__(self, parent: Path, servers: Servers) -> None:
		self.parent, self.folder, self.app = parent, parent / "bench", parent / "memora"
		self.servers = servers
		self._prepare()
		init = ("--skip-redis-config-generation", "--skip-assets", "--no-backups", "--no-procfile")
		self._run(parent, "init", *init, "--python", sys.executable, "--frappe-path", str(FRAPPE), "bench")
		# bench's environment has the newest setuptools, without pkg_resources, which Frappe 15 needs
		pip = [self.folder / "env/bin/python", "-m", "pip", "install", "--quiet", "setuptools<81"]
		subprocess.run(pip, check=True)
		self._configure()
		self("get-app", "--skip-assets", str(self.app))

	def __call__(self, *args: str, exit_code: int = 0, **env: str) -> str:
		"""Runs `bench <args>` in its folder, and returns what it printed."""
		return self._run(self.folder, *args, exit_code=exit_code, **env)

	def make_site(self, name: str, database: str) -> None:
		self("new-site", name, f"--db-name={database}", "--admin-password=admin", *self.as_root())

	def restore(self, site: str, dump: Path) -> None:
		self("--site", site, "restore", str(dump), "--force", *self.as_root())

	def back_up(self, site: str) -> Path:
		"""Returns the dump."""
		self("--site", site, "backup")
		folder = self.folder / "sites" / site / "private" / "backups"
		return max(folder.glob("*-database.sql.gz"), key=lambda path: path.stat().st_mtime)

	def query(self, database: str, sql: str) -> str:
		args = [*self.servers.client, "--skip-column-names", "--batch", "-e", sql, database]
		return subprocess.run(args, capture_output=True, text=True, check=True).stdout.strip()

	def publish(self, version: str) -> None:
		"""Makes a version of the app that bench can pull."""
		path = self.app / "memora" / "__init__.py"
		path.write_text(f'__version__ = "{version}"\n')
		self.git(self.app, *COMMIT, version)

	def git(self, folder: Path, *args: str) -> None:
		subprocess.run(["git", "-C", folder, *args], check=True, capture_output=True)

	def site_config(self, site: str) -> dict[str, object]:
		return json.loads((self.folder / "sites" / site / "site_config.json").read_text())

	def as_root(self) -> list[str]:
		user, password = self.servers.administrator
		return [f"--db-root-username={user}", f"--db-root-password={password}"]

	def _prepare(self) -> None:
		self.parent.mkdir(exist_ok=True)
		subprocess.run(["git", "clone", "--quiet", PROJECT, self.app], check=True)
		for name in STAND_INS:
			path = self.parent / "bin" / name
			path.parent.mkdir(exist_ok=True)
			path.write_text("#!/bin/sh\n")
			path.chmod(0o755)
		# bench refuses root, unless a configuration names root
		(self.parent / "sites").mkdir()
		config = {"frappe_user": getpass.getuser()}
		(self.parent / "sites" / "common_site_config.json").write_text(json.dumps(config))

	def _configure(self) -> None:
		path = self.folder / "sites" / "common_site_config.json"
		urls = self.servers.redis
		own = {
			"db_host": HOST,
			"db_port": self.servers.port,
			"redis_cache": urls["cache"],
			"redis_queue": urls["queue"],
			"redis_socketio": urls["queue"],
			"srs_redis_cache": urls["srs"],
			"workers": {"srs_write": {"timeout": 300}},
		}
		path.write_text(json.dumps({**json.loads(path.read_text()), **own}, indent=1))

	def _run(self, folder: Path, *args: str, exit_code: int = 0, **env: str) -> str:
		path = f"{self.parent / 'bin'}:{os.environ['PATH']}"
		kept = {
			name: value
			for name, value in os.environ.items()
			if not name.startswith(("MEMORA_", "FRAPPE_", "PYTHON"))
		}
		done = subprocess.run(
			[BENCH, *args],
			cwd=folder,
			env={**kept, "PATH": path, **env},
			stdin=subprocess.DEVNULL,
			stdout=subprocess.PIPE,
			stderr=subprocess.STDOUT,
			text=True,
		)
		assert (
			done.returncode == exit_code
		), f"bench {' '.join(args)}: {done.returncode}\n{done.stdout[-5000:]}"
		return done.stdout
