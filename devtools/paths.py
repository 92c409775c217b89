"""Where the bench keeps its things. Nothing is written outside `Bench.root` (but for a too long socket path)."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
MAIN_SITE = "memora.localhost"
TEST_SITE = "test.memora.localhost"
PICTURE_SITE = "pictures.memora.localhost"  # there while `./dev screenshots` runs
# sun_path holds 108 bytes; MariaDB appends nothing, but leave room
LONGEST_SOCKET_PATH = 100


@dataclass(frozen=True)
class Bench:
	"""A bench directory in the layout of frappe/bench, so that Frappe finds its way in it."""

	root: Path

	@property
	def apps(self) -> Path:
		return self.root / "apps"

	@property
	def frappe(self) -> Path:
		return self.apps / "frappe"

	@property
	def sites(self) -> Path:
		return self.root / "sites"

	@property
	def env(self) -> Path:
		return self.root / "env"

	@property
	def python(self) -> Path:
		return self.env / "bin" / "python"

	@property
	def logs(self) -> Path:
		return self.root / "logs"

	@property
	def run(self) -> Path:
		"""Pid files, locks, ports and the database's root password."""
		return self.root / "run"

	@property
	def mariadb_data(self) -> Path:
		return self.root / "mariadb"

	@property
	def temporary(self) -> Path:
		"""MariaDB's temporary tables."""
		return self.root / "tmp"

	@property
	def mariadb_client(self) -> Path:
		"""Option file of the mariadb client: the root login. Readable by its owner only."""
		return self.run / "mariadb-root.cnf"

	@property
	def pristine_dump(self) -> Path:
		"""A new site with Frappe alone; the bench's sites are made from it."""
		return self.root / "pristine.sql"

	def site(self, name: str) -> Path:
		return self.sites / name

	def redis_data(self, name: str) -> Path:
		return self.root / "redis" / name

	def log(self, name: str) -> Path:
		return self.logs / f"{name}.log"

	def socket(self) -> Path:
		"""MariaDB's unix socket: in `run`, or in a short private directory where that path is too long."""
		socket = self.run / "mariadb.sock"
		if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH:
			return socket
		return _private_directory(self.root) / "mariadb.sock"

	def make_directories(self) -> None:
		pids = self.root / "config" / "pids"
		for directory in (self.apps, self.sites, self.logs, self.run, self.temporary, pids):
			directory.mkdir(parents=True, exist_ok=True)
		self.run.chmod(0o700)


def _private_directory(root: Path) -> Path:
	name = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
	directory = Path(tempfile.gettempdir()) / f"memora-{os.getuid()}-{name}"
	directory.mkdir(mode=0o700, exist_ok=True)
	if directory.stat().st_uid != os.getuid():
		raise PermissionError(f"{directory} belongs to someone else")
	return directory


def current_bench() -> Bench:
	"""The bench of this checkout, or the one MEMORA_BENCH names."""
	return Bench(Path(os.environ.get("MEMORA_BENCH") or PROJECT / ".bench").resolve())
