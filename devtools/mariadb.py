"""The bench's own MariaDB: data directory, root login, server and dumps."""

import configparser
import getpass
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools import ports, shell
from devtools.daemons import Daemon
from devtools.paths import Bench
from devtools.pids import PidFile
from devtools.report import Failure, step

LARGEST_BUFFER_POOL_BYTES = 4 * 1024**3
DUMP_TRIES = 5
BUFFER_POOL_SHARE = 0.25  # of the machine's memory: Redis, web server and workers need memory, too

CONFIG = """\
[mariadbd]
datadir = {data}
# A server that starts deletes all temporary tables in its tmpdir. Another server with that tmpdir would die.
tmpdir = {temporary}
socket = {socket}
pid-file = {run}/mariadbd.pid
bind-address = 127.0.0.1
port = {port}
user = {user}
character-set-server = utf8mb4
collation-server = utf8mb4_unicode_ci
skip-character-set-client-handshake
innodb_buffer_pool_size = {buffer_pool_bytes}
innodb_log_file_size = 512M
# An acknowledged commit survives a power cut.
innodb_flush_log_at_trx_commit = 1
max_connections = 500
performance_schema = OFF
skip-log-bin
"""
# The installer makes anonymous users, which would shadow a site's own user at localhost
SECURE = """\
FLUSH PRIVILEGES;
DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
FLUSH PRIVILEGES;
ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';
"""
CREATE = """\
DROP DATABASE IF EXISTS `{name}`;
CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE OR REPLACE USER '{name}'@'localhost' IDENTIFIED BY '{password}';
GRANT ALL PRIVILEGES ON `{name}`.* TO '{name}'@'localhost';
"""
DROP = "DROP DATABASE IF EXISTS `{name}`; DROP USER IF EXISTS '{name}'@'localhost';"


def ensure_data(bench: Bench) -> None:
	if bench.mariadb_data.is_dir() and bench.mariadb_client.is_file():
		return
	with step("Making an empty database server"):
		_make_data(bench)


def _make_data(bench: Bench) -> None:
	"""Makes the data beside their place, and moves them when complete. So half-made data are never used."""
	for old in (bench.mariadb_data, part := bench.root / "mariadb.part"):
		shutil.rmtree(old, ignore_errors=True)
	log, user = bench.log("mariadb-install"), getpass.getuser()
	shell.run(
		[
			program("mariadb-install-db"),
			"--no-defaults",
			f"--datadir={part}",
			f"--tmpdir={bench.temporary}",
			f"--user={user}",
			"--auth-root-authentication-method=normal",
			"--skip-test-db",
		],
		log,
	)
	password = secrets.token_urlsafe(24)
	_bootstrap(bench, part, SECURE.format(password=password), log)
	_write_client_file(bench, password)
	part.rename(bench.mariadb_data)


def _bootstrap(bench: Bench, data: Path, statements: str, log: Path) -> None:
	"""Runs statements without opening a port, because root has no password yet."""
	sql = data.with_suffix(".sql")
	sql.touch(mode=0o600)
	sql.write_text(statements)
	where = [f"--datadir={data}", f"--tmpdir={bench.temporary}", f"--user={getpass.getuser()}"]
	with sql.open("rb") as stdin:
		shell.run([program("mariadbd"), "--no-defaults", *where, "--bootstrap"], log, stdin=stdin)
	sql.unlink()


def _write_client_file(bench: Bench, password: str) -> None:
	path = bench.mariadb_client
	path.touch(mode=0o600)
	path.write_text(f"[client]\nuser = root\npassword = {password}\nsocket = {bench.socket()}\n")


def root_password(bench: Bench) -> str:
	# RawConfigParser: a password may hold a %
	parser = configparser.RawConfigParser()
	parser.read(bench.mariadb_client)
	return parser["client"]["password"]


def daemon(bench: Bench) -> Daemon:
	config = bench.root / "config" / "mariadb.cnf"
	return Daemon(
		name="mariadb",
		args=[program("mariadbd"), f"--defaults-file={config}"],
		log=bench.log("mariadb"),
		pid_file=PidFile(bench.run / "mariadb.json"),
		ready=lambda: _answers(bench),
	)


def configure(bench: Bench, port: int) -> None:
	config = CONFIG.format(
		data=bench.mariadb_data,
		temporary=bench.temporary,
		socket=bench.socket(),
		run=bench.run,
		port=port,
		user=getpass.getuser(),
		buffer_pool_bytes=_buffer_pool_bytes(),
	)
	(bench.root / "config" / "mariadb.cnf").write_text(config)


def _buffer_pool_bytes() -> int:
	memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
	return min(int(memory * BUFFER_POOL_SHARE), LARGEST_BUFFER_POOL_BYTES)


def _answers(bench: Bench) -> bool:
	return subprocess.run(client(bench, "-e", "SELECT 1"), capture_output=True).returncode == 0


def client(bench: Bench, *args: str, name: str = "mariadb") -> list[str]:
	return [program(name), f"--defaults-file={bench.mariadb_client}", *args]


def execute(bench: Bench, statements: str) -> None:
	done = subprocess.run(client(bench), input=statements, capture_output=True, text=True)
	if done.returncode:
		raise Failure(f"MariaDB said: {done.stderr.strip()}")


def dump(bench: Bench, database: str, path: Path) -> None:
	"""Writes a database to a file, as one transaction sees it. Begins again if somebody alters a table meanwhile."""
	args = client(bench, "--single-transaction", "--skip-comments", database, name="mariadb-dump")
	part = path.with_suffix(".part")
	for attempt in range(1, DUMP_TRIES + 1):
		try:
			with part.open("wb") as file:
				shell.run(args, bench.log("sites"), stdout=file)
			break
		except Failure:
			if attempt == DUMP_TRIES:
				raise
	part.replace(path)


def load(bench: Bench, path: Path, database: str, password: str) -> None:
	"""Makes a database from a dump, and a user with that name who owns it. A database with that name is replaced."""
	execute(bench, CREATE.format(name=database, password=password))
	with path.open("rb") as statements:
		shell.run(client(bench, database), bench.log("sites"), stdin=statements)


def drop(bench: Bench, database: str) -> None:
	"""Removes a database and the user who has its name, if they exist."""
	execute(bench, DROP.format(name=database))


@contextmanager
def hasty(bench: Bench) -> Iterator[None]:
	"""Commits without waiting for the disk during the block.

	A power cut may lose commits. Use it for data that are made again if the block does not end.
	"""
	execute(bench, "SET GLOBAL innodb_flush_log_at_trx_commit = 0")
	try:
		yield
	finally:
		execute(bench, "SET GLOBAL innodb_flush_log_at_trx_commit = 1")


def port(bench: Bench) -> int:
	return ports.known(bench)["mariadb"]


def program(name: str) -> str:
	if found := shell.find(name):
		return found
	raise Failure(f"{name} is not installed: run ./dev setup")
