"""Which of the benches a process of pytest has, and what `./dev test --quick` leaves out."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import shell, test_benches
from devtools.paths import current_bench

# The process of pytest-xdist: gw0, gw1, …
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
	os.environ.update(test_benches.environment(current_bench(), int(worker.removeprefix("gw"))))
	shell.die_with_parent(signal.SIGTERM)


def _open_logs_of_imports() -> None:
	"""Imports the module for which Frappe 16 opens ../logs/cssutils.log, where that path leads to the bench's logs."""
	before = os.getcwd()
	os.chdir(current_bench().sites)
	import frappe.utils.pdf  # noqa: F401

	os.chdir(before)


_open_logs_of_imports()

FOLDERS = {"browser": "browser", "desk": "browser", "faults": "faults"}
# A Redis Cluster, Sentinels, or web processes without any Redis: servers that these tests start and break
SERVERS = {"cluster", "in_cluster", "fleet", "sentinels"}
SLOW_FILES = {
	"test_api_guide.py",
	"test_archive_crashes.py",
	"test_killed_commands.py",
	"test_monitoring.py",
	"test_permissions.py",
	"test_redis_cluster.py",
	"test_redis_moods.py",
	"test_redis_sentinel.py",
	"test_rq_dashboard.py",
	"test_scheduling_gate.py",
	"test_setup_partitioning.py",
	"test_setup_partitioning_interrupted.py",
	"test_setup_partitioning_migrations.py",
	"test_stateful.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
	for item in items:
		for marker in _markers(item):
			item.add_marker(marker)


def _markers(item: pytest.Item) -> Iterator[str]:
	path = Path(item.path)
	yield from (FOLDERS[folder] for folder in set(path.parts) & set(FOLDERS))
	parameters = item.callspec.params if hasattr(item, "callspec") else {}
	if SERVERS & set(item.fixturenames) or "cluster" in parameters.values():
		yield "servers"
	if path.name in SLOW_FILES:
		yield "slow"
