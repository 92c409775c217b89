"""A command that is killed with kill -9 gets no chance to stop what it has started. It goes all the same."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import pytest

from devtools import services
from devtools.paths import PROJECT, Bench
from devtools.pids import PidFile
from tests.integration.waiting import wait_until

SECONDS = 30

A_COMMAND_WITH_SERVICES = """
	import pathlib, sys, time
	from devtools import mariadb, services
	from devtools.paths import Bench

	bench = Bench(pathlib.Path(sys.argv[1]))
	bench.make_directories()
	mariadb.ensure_data(bench)
	with services.running(bench):
		print("running", file=sys.stderr, flush=True)
		time.sleep(600)
"""
A_COMMAND_IN_THE_FOREGROUND = """
	import pathlib, sys
	from devtools import shell

	shell.foreground([sys.executable, "-c", sys.argv[2], sys.argv[1]], cwd=pathlib.Path.cwd())
"""
A_TEST_RUN = """
	import os, pathlib, sys, time
	from devtools.pids import PidFile
	from tests.integration.redis_server import RedisServer

	directory = pathlib.Path(sys.argv[1])
	server = RedisServer(directory)
	server.start()
	server.hang()
	PidFile(directory / "run.json").write(os.getpid())
	print("running", file=sys.stderr, flush=True)
	time.sleep(600)
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
	"""Starts a program with arguments and waits until it says that it is running."""
	processes = []

	def start_one(program: str, *arguments: object) -> subprocess.Popen:
		args = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
		process = subprocess.Popen(args, cwd=PROJECT, stderr=subprocess.PIPE, text=True)
		processes.append(process)
		assert "running\n" in process.stderr, "it has ended"
		return process

	yield start_one
	for process in processes:
		process.kill()
		process.wait()
		process.stderr.close()


def test_the_services_of_a_bench(start, tmp_path, request):
	bench = Bench(tmp_path)
	request.addfinalizer(lambda: services.stop(bench, list(services.PORTS)))
	command = start(A_COMMAND_WITH_SERVICES, tmp_path)
	files = [services.pid_file(bench, name) for name in services.PORTS]
	assert all(file.pid() for file in files)
	command.kill()
	wait_until(lambda: not any(file.pid() for file in files), "the services' end", SECONDS)
	wait_until(lambda: not services.keeper_file(bench).pid(), "the keeper's end", SECONDS)
	assert json.loads((bench.run / "started-by-commands.json").read_text()) == []


def test_what_a_test_run_has_started_even_if_it_hangs(start, tmp_path, request):
	run, server = PidFile(tmp_path / "run.json"), PidFile(tmp_path / "pid.json")
	request.addfinalizer(lambda: server.stop(seconds=0))
	command = start(A_COMMAND_IN_THE_FOREGROUND, tmp_path, textwrap.dedent(A_TEST_RUN))
	assert run.pid() and server.pid()
	command.kill()
	wait_until(lambda: not run.pid() and not server.pid(), "the end of both", SECONDS)
