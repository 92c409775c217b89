"""A process of the bench's Python that has everything loaded but memora, and forks for each run of tests.

Reads a line of JSON for each run from stdin: {"tests": [ids], "seconds": {id: seconds it may take}, "log": path}. Answers
with a line: {"outcome", "test"}. The outcome is `passed`, `failed`, `hangs` or `broken`: nothing could be collected.
"""

import importlib
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any, NoReturn

import pytest

OWN = ("memora", "tests", "devtools", "conftest", "_pytest", "__main__")
LOOK_SECONDS = 0.5
START_SECONDS = 120  # until the first test begins


def main() -> None:
	folder = os.environ["MEMORA_MUTANTS"]
	for line in sys.stdin:
		order = json.loads(line)
		if modules := order.get("load"):
			_load(modules)
			answer: dict[str, Any] = {"loaded": len(sys.modules)}
		else:
			answer = _run(order, folder)
		print(json.dumps(answer), flush=True)


def _load(modules: list[str]) -> None:
	for name in modules:
		if name.split(".")[0] not in OWN:
			with suppress(Exception):  # some can't be imported in this order: the forks import them
				importlib.import_module(name)


def _run(order: dict[str, Any], folder: str) -> dict[str, Any]:
	reads, writes = os.pipe()
	child = os.fork()
	if not child:
		os.close(reads)
		_test(order, folder, writes)
	os.close(writes)
	try:
		return _watch(child, reads, order["seconds"])
	finally:
		os.close(reads)
		with suppress(ProcessLookupError, PermissionError):
			os.killpg(child, signal.SIGKILL)  # what the tests have left running


def _test(order: dict[str, Any], folder: str, pipe: int) -> NoReturn:
	"""Runs the tests in this process, with output in a log."""
	code = 3
	try:
		os.setsid()
		log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
		for stream in (1, 2):
			os.dup2(log, stream)
		listed = f"{folder}/tests.txt"
		with open(listed, "w") as file:
			file.write("\n".join(order["tests"]))
		os.environ.update(MEMORA_MUTANTS_PIPE=str(pipe), MEMORA_MUTANTS_TESTS=listed)
		files = list(dict.fromkeys(test.partition("::")[0] for test in order["tests"]))
		if modules := order.get("note_modules"):
			code = pytest.main(["-q", "-x", "-p", "devtools.mutants.telling", *files])
			with open(modules, "w") as file:
				json.dump(list(sys.modules), file)
		else:
			code = pytest.main(
				["-q", "-x", "-p", "no:cacheprovider", "-p", "devtools.mutants.telling", *files]
			)
	finally:
		os._exit(code)


def _watch(child: int, pipe: int, seconds: dict[str, float]) -> dict[str, Any]:
	test, failed, rest, deadline = "", "", b"", time.monotonic() + START_SECONDS
	while True:
		readable, _, _ = select.select([pipe], [], [], LOOK_SECONDS)
		if readable:
			rest += os.read(pipe, 65536)
			*lines, rest = rest.split(b"\n")
			for line in lines:
				word, _, test = line.decode().partition(" ")
				failed = failed or (test if word == "failed" else "")
				deadline = time.monotonic() + seconds.get(test, START_SECONDS)
		ended, status = os.waitpid(child, os.WNOHANG)
		if ended:
			return _outcome(os.waitstatus_to_exitcode(status), failed, test)
		if time.monotonic() > deadline:
			with suppress(ProcessLookupError):
				os.killpg(child, signal.SIGKILL)
			os.waitpid(child, 0)
			return {"outcome": "hangs", "test": failed or test}


def _outcome(code: int, failed: str, test: str) -> dict[str, Any]:
	if code == 0:
		return {"outcome": "passed", "test": ""}
	if failed:
		return {"outcome": "failed", "test": failed}
	return {"outcome": "broken", "test": test}


if __name__ == "__main__":
	main()
