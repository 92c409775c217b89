"""A plugin of pytest that runs tests in a given order, and tells the process that waits where it is.

MEMORA_MUTANTS_TESTS names a file with the tests, in order; MEMORA_MUTANTS_PIPE is the number of the pipe.
"""

import os
from pathlib import Path

import pytest


def _tell(word: str, test: str) -> None:
	os.write(int(os.environ["MEMORA_MUTANTS_PIPE"]), f"{word} {test}\n".encode())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
	order = Path(os.environ["MEMORA_MUTANTS_TESTS"]).read_text().splitlines()
	by_id = {item.nodeid: item for item in items}
	items[:] = [by_id[test] for test in order if test in by_id]


def pytest_runtest_logstart(nodeid: str) -> None:
	_tell("begins", nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
	if report.failed:
		_tell("failed", report.nodeid)
