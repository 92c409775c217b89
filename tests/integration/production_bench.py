"""A bench in a folder of its own, as `bench init` leaves it, for tests of what production adds to it."""

import getpass
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

from devtools import ports

SITE = "school.example"
FOLDERS = ("apps", "sites", "logs", "config/pids")
# As `bench setup redis` of 5.31 writes it
QUEUE = """\
dbfilename redis_queue.rdb
dir {folder}/config/pids
pidfile {folder}/config/pids/redis_queue.pid
bind 127.0.0.1
port {port}

aclfile {folder}/config/redis_queue.acl
"""


def make(parent: Path, **settings: Any) -> Path:
	"""Makes a bench with free ports. `settings` go into common_site_config.json."""
	bench = parent / "frappe-bench"
	for folder in FOLDERS:
		(bench / folder).mkdir(parents=True)
	cache, queue, web = (ports.any_free() for _ in range(3))
	redis = {"redis_cache": f"redis://127.0.0.1:{cache}", "redis_queue": f"redis://127.0.0.1:{queue}"}
	common = {
		"background_workers": 1,
		**redis,
		"frappe_user": getpass.getuser(),
		"webserver_port": web,
		**settings,
	}
	write_common(bench, common)
	(bench / "config" / "redis_queue.conf").write_text(QUEUE.format(folder=bench, port=queue))
	(bench / "config" / "redis_queue.acl").touch()
	return bench


def write_common(bench: Path, settings: dict[str, Any]) -> None:
	(bench / "sites" / "common_site_config.json").write_text(json.dumps(settings, indent=1, sort_keys=True))


def read_common(bench: Path) -> dict[str, Any]:
	return json.loads((bench / "sites" / "common_site_config.json").read_text())


def files(bench: Path) -> dict[str, str]:
	"""All files of a bench, by their path in it."""
	return {str(path.relative_to(bench)): path.read_text() for path in bench.rglob("*") if path.is_file()}


def put_on_path(folder: Path, monkeypatch) -> None:
	"""Has a program `bench` be found, where none is installed: its path stands in units, nobody runs it."""
	if not shutil.which("bench"):
		folder.mkdir()
		program = folder / "bench"
		program.write_text("#!/bin/sh\nexit 1\n")
		program.chmod(program.stat().st_mode | stat.S_IXUSR)
		monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def run(*args: str | Path, cwd: Path | None = None) -> str:
	"""Runs a program. Returns what it says; fails if it fails."""
	done = subprocess.run(
		[str(arg) for arg in args], capture_output=True, text=True, cwd=cwd, stdin=subprocess.DEVNULL
	)
	assert done.returncode == 0, done.stdout + done.stderr
	return done.stdout + done.stderr
