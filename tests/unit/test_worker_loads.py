"""A worker loads what folds use before it forks. Other commands don't: they would start more slowly."""

import subprocess
import sys

import pytest

from devtools.paths import current_bench

LOADS = """
import sys
sys.argv = ["bench", "frappe", *sys.argv[1:]]
import memora.commands
print("memora.services.folding.folds" in sys.modules)
"""


@pytest.mark.parametrize(
	("command", "loads"), [("worker", True), ("worker-pool", True), ("migrate", False), ("schedule", False)]
)
def test_only_workers_load_what_folds_use(command, loads):
	found = subprocess.run(
		[sys.executable, "-c", LOADS, command, "--queue", "srs_write"],
		cwd=current_bench().sites,
		capture_output=True,
		text=True,
		check=True,
	)
	assert found.stdout.strip() == str(loads)
