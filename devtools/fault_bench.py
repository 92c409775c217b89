"""The fault bench: a separate bench with a copy of the test site. The fault tests kill its servers."""

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools import config, mariadb, ports, services, sites
from devtools.daemons import Daemon
from devtools.locks import exclusive
from devtools.paths import MAIN_SITE, TEST_SITE, Bench
from devtools.pids import PidFile

DATABASE = "memora_faults"
# Above the ports of the bench around it, so that neither bench takes a port that the other has just lost
PORTS_ABOVE = 10_000
# These lines come last, so they win. Small files and little memory let a killed server restart within seconds.
MARIADB_OPTIONS = "innodb_log_file_size = 64M\ninnodb_buffer_pool_size = 256M\n"


def of(bench: Bench) -> Bench:
	"""Returns the fault bench inside a bench. Its folder may not exist yet."""
	return Bench(bench.root / "faults")


@contextmanager
def made(bench: Bench) -> Iterator[Bench]:
	"""Makes the fault bench, without starting a server, and reserves it for the block. Another run waits."""
	own = of(bench)
	own.make_directories()
	with exclusive(own.run / "in-use.lock", "another run of the fault tests"):
		yield _make(own, bench)


def _make(own: Bench, bench: Bench) -> Bench:
	stop_left_behind(own)
	for name in ("env", "apps"):
		_link(own.root / name, bench.root / name)
	if not (own.run / "ports.json").is_file():
		above = {name: port + PORTS_ABOVE for name, port in ports.PREFERRED.items()}
		(own.run / "ports.json").write_text(json.dumps(above))
	mariadb.ensure_data(own)
	return own


def _link(link: Path, target: Path) -> None:
	if link.is_symlink():
		return
	if link.is_dir():
		link.rmdir()  # make_directories has made an empty folder
	link.symlink_to(Path("..") / target.name)


def stop_left_behind(own: Bench) -> None:
	"""Stops the servers that a killed run has left running."""
	for path in sorted(own.run.glob("*.json")):
		if path.stem != "ports":
			PidFile(path).stop(seconds=1)


def claim_ports(own: Bench) -> None:
	"""Claims ports for MariaDB and the three Redis. The servers keep their ports when they restart."""
	for name in services.PORTS.values():
		ports.claim(own, name)
	mariadb.configure(own, ports.known(own)["mariadb"])
	with (own.root / "config" / "mariadb.cnf").open("a") as file:
		file.write(MARIADB_OPTIONS)
	config.write(own)


def second_host(own: Bench, name: str, its_ports: dict[str, int]) -> Bench:
	"""Makes the folder of another host of the same site, which reaches MariaDB and Redis at its own ports.

	`fill` must have made the site.
	"""
	host = Bench(own.root / name)
	host.make_directories()
	for link in ("env", "apps"):
		_link(host.root / link, own.root / link)
	(host.run / "ports.json").write_text(json.dumps(its_ports))
	config.write(host)
	sites.make_directories(host.site(MAIN_SITE))
	shutil.copy(own.site(MAIN_SITE) / "site_config.json", host.site(MAIN_SITE))
	return host


def daemon(own: Bench, name: str) -> Daemon:
	return services.daemon(own, name)


def fill(own: Bench, bench: Bench) -> None:
	"""Makes the site of the fault bench again, as a copy of the test site. MariaDB must be running in both benches."""
	dump = own.root / "test-site.sql"
	copied = json.loads((bench.site(TEST_SITE) / "site_config.json").read_text())
	mariadb.dump(bench, copied["db_name"], dump)
	password = secrets.token_urlsafe(16)
	mariadb.load(own, dump, DATABASE, password)
	sites.make_directories(own.site(MAIN_SITE))
	kept = {key: copied[key] for key in ("encryption_key", "db_type") if key in copied}
	values = {**kept, "db_name": DATABASE, "db_password": password, "allow_tests": True}
	(own.site(MAIN_SITE) / "site_config.json").write_text(json.dumps(values, indent=1))
