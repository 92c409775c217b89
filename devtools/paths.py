"""The paths of a bench. Nothing is written outside `Bench.root`, except a socket whose path would be too long."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
MAIN_SITE = "memora.localhost"
TEST_SITE = "test.memora.localhost"
PICTURE_SITE = "pictures.memora.localhost"  # exists while `./dev screenshots` runs
# The kernel allows a socket 108 bytes. MariaDB appends nothing, but leave room.
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
		"""The folder for pid files, locks, ports and the database's root password."""
		return self.root / "run"

	@property
	def mariadb_data(self) -> Path:
		return self.root / "mariadb"

	@property
	def temporary(self) -> Path:
		"""The folder for MariaDB's temporary tables."""
		return self.root / "tmp"

	@property
	def mariadb_client(self) -> Path:
		"""The option file of the mariadb client, with the root login. Only its owner can read it."""
		return self.run / "mariadb-root.cnf"

	@property
	def pristine_dump(self) -> Path:
		"""The dump of a new site with Frappe alone. The bench's sites are made from this dump."""
		return self.root / "pristine.sql"

	def site(self, name: str) -> Path:
		return self.sites / name

	def redis_data(self, name: str) -> Path:
		return self.root / "redis" / name

	def log(self, name: str) -> Path:
		return self.logs / f"{name}.log"

	def socket(self) -> Path:
		"""Returns the path of MariaDB's unix socket: in `run`, or in a private directory if that path is too long."""
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
	"""Returns the bench that MEMORA_BENCH names, or else the bench of this checkout."""
	return Bench(Path(os.environ.get("MEMORA_BENCH") or PROJECT / ".bench").resolve())
