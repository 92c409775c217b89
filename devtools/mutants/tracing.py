"""A plugin of pytest that notes which lines of memora each test runs, in the file that MEMORA_MUTANTS_LINES names.

A line of that file is JSON: {"id", "file", "seconds", "lines": {path: {function: mask}}}. Bit n of a mask stands for the
function's line n, counted from `def`. Work in other processes, such as web servers and workers, is not seen.
"""

import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from devtools.mutants.places import place_of
from devtools.paths import PROJECT

APP = f"{PROJECT}/memora/"

_seen: set[tuple[str, int]] = set()
_not_passed: set[str] = set()


def _call(frame: FrameType, event: str, argument: Any) -> Any:
	code = frame.f_code
	if not code.co_filename.startswith(APP) or code.co_name == "<module>":
		return None
	file, add = code.co_filename, _seen.add
	add((file, frame.f_lineno))

	def line(frame: FrameType, event: str, argument: Any) -> Any:
		add((file, frame.f_lineno))
		return line

	return line


@pytest.hookimpl(hookwrapper=True)  # type: ignore[untyped-decorator]
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None]:
	_seen.clear()
	begin = time.monotonic()
	threading.settrace(_call)
	sys.settrace(_call)
	try:
		yield
	finally:
		sys.settrace(None)
		threading.settrace(None)
	if item.nodeid not in _not_passed:
		_write(item.nodeid, time.monotonic() - begin)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
	if not report.passed:
		_not_passed.add(report.nodeid)


def _write(test: str, seconds: float) -> None:
	masks: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
	for file, line in tuple(_seen):
		function, offset = place_of(Path(file), line)
		if function and offset >= 0:
			masks[file.removeprefix(f"{PROJECT}/")][function] |= 1 << offset
	lines = {path: {name: f"{mask:x}" for name, mask in of.items()} for path, of in masks.items()}
	row = {"id": test, "file": test.partition("::")[0], "seconds": round(seconds, 2), "lines": lines}
	with open(os.environ["MEMORA_MUTANTS_LINES"], "a") as file_:
		file_.write(json.dumps(row, separators=(",", ":")) + "\n")
