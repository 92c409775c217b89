"""A second MariaDB, made of a physical backup of the bench's own by the commands of docs/operations.md."""

import getpass
import subprocess
from pathlib import Path
from typing import Any

from devtools import mariadb, ports, shell
from devtools.paths import current_bench
from tests.integration.waiting import wait_until

BACKUP = "mariadb-backup"
HOST = "127.0.0.1"
SECONDS_TO_STOP = 30


def is_installed() -> bool:
	return shell.find(BACKUP) is not None


class CopiedServer:
	"""Started when made. Holds what the first server held at that moment."""

	def __init__(self, folder: Path) -> None:
		self.bench, self.folder, self.port = current_bench(), folder, ports.any_free()
		self.data = folder / "data"
		self._run("--backup")
		self._run("--prepare")
		self._run("--copy-back", f"--datadir={self.data}")
		self.process = self._start()
		wait_until(self._answers, "the copy to answer", 60)

	@property
	def config(self) -> dict[str, Any]:
		"""What a site's configuration says of it: the site's user and password are those of the first server."""
		return {"db_host": HOST, "db_port": self.port}

	def stop(self) -> None:
		self.process.terminate()
		self.process.wait(SECONDS_TO_STOP)

	def _run(self, *step: str) -> None:
		command = [mariadb.program(BACKUP), f"--defaults-file={self.bench.mariadb_client}", *step]
		target = f"--target-dir={self.folder / 'backup'}"
		done = subprocess.run([*command, target], capture_output=True, text=True)
		assert done.returncode == 0, done.stderr[-2000:]

	def _start(self) -> "subprocess.Popen[bytes]":
		return subprocess.Popen(
			[
				mariadb.program("mariadbd"),
				"--no-defaults",
				f"--datadir={self.data}",
				f"--tmpdir={self.folder}",
				f"--user={getpass.getuser()}",
				f"--socket={self.folder / 's'}",
				f"--pid-file={self.folder / 'pid'}",
				f"--port={self.port}",
				f"--bind-address={HOST}",
				"--server-id=2",
				"--innodb-log-file-size=8M",
				"--character-set-server=utf8mb4",
				"--collation-server=utf8mb4_unicode_ci",
				"--skip-log-bin",
			],
			stdout=subprocess.DEVNULL,
			stderr=(self.folder / "log").open("wb"),
		)

	def _answers(self) -> bool:
		assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
		login = [f"--defaults-file={self.bench.mariadb_client}", f"--socket={self.folder / 's'}"]
		command = [mariadb.program("mariadb"), *login, "--execute", "SELECT 1"]
		return subprocess.run(command, capture_output=True).returncode == 0
