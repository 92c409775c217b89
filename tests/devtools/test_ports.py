"""Benches that start at the same moment."""

import json
import subprocess
import sys

from devtools.paths import PROJECT

BENCHES = 4
CLAIM_ALL = """
import json, pathlib, sys
from devtools import ports
from devtools.paths import Bench

bench = Bench(pathlib.Path(sys.argv[1]))
bench.make_directories()
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps([ports.claim(bench, name) for name in ports.PREFERRED]), flush=True)
sys.stdin.readline()
"""


def test_each_bench_claims_ports_of_its_own(tmp_path):
	pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
	args = [sys.executable, "-c", CLAIM_ALL]
	benches = [
		subprocess.Popen([*args, tmp_path / str(number)], cwd=PROJECT, text=True, **pipes)
		for number in range(BENCHES)
	]
	for bench in benches:
		assert bench.stdout.readline() == "ready\n"
	for bench in benches:
		print(file=bench.stdin, flush=True)
	claimed = [port for bench in benches for port in json.loads(bench.stdout.readline())]
	for bench in benches:
		bench.communicate()
	assert len(claimed) == len(set(claimed))
