"""Which of the benches a process of pytest has, and what `./dev test --quick` leaves out."""

import os
import signal
from pathlib import Path

import pytest

from devtools import shell, test_benches
from devtools.paths import current_bench

# The process of pytest-xdist: gw0, gw1, …
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
	os.environ.update(test_benches.environment(current_bench(), int(worker.removeprefix("gw"))))
	shell.die_with_parent(signal.SIGTERM)

FOLDERS = {"browser": "browser", "desk": "browser", "faults": "faults"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
	for item in items:
		for folder in set(Path(item.path).parts) & set(FOLDERS):
			item.add_marker(FOLDERS[folder])
