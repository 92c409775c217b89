"""Of section `hang`: what the learners of a web host notice of another host that alone can't reach the schedules' Redis.

The other host has a configuration of its own, whose Redis for schedules is at a port where nobody listens. A learner answers and reads
there. Meanwhile others read on the healthy host, and Redis itself tells whose schedules are loaded anew.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import redis

from benchmarks import perf_data, site
from benchmarks.background import repeating
from benchmarks.perf_data import Learner
from benchmarks.perf_endpoints import READ, SUBMIT, Client
from benchmarks.perf_hostile import READERS, read_for
from devtools import ports, processes
from devtools.paths import current_bench
from devtools.report import Failure, step
from memora.services.cache import scripts

READ_SECONDS = 30
SECONDS_BETWEEN_ANSWERS = 1.5
ACCEPTED = 200


def measure() -> dict[str, float]:
	with perf_data.prepared() as (_season, learners):
		others, hers = learners[:READERS], learners[READERS]
		read_for(1, site.url(), others)
		with _cut_host() as url, _answering(url, hers) as answered, _loads() as loaded:
			with step("Reading on a healthy host while another is cut off"):
				reads = len(read_for(READ_SECONDS, site.url(), others))
	if not answered:
		raise Failure("The host that is cut off took no answer")
	ids = {learner.id for learner in others}
	return {
		"cut_host_other_hosts_loads_per_read": sum(learner in ids for learner in loaded) / reads,
		"cut_host_other_hosts_reads": reads,
		"cut_host_answers": len(answered),
	}


@contextmanager
def _cut_host() -> Iterator[str]:
	"""Runs a web server for the block whose schedules' Redis is not there. Yields its URL."""
	with TemporaryDirectory() as folder:
		sites, bench = Path(folder, "sites"), current_bench()
		sites.mkdir()
		Path(folder, "logs").mkdir()
		for path in bench.sites.iterdir():
			(sites / path.name).symlink_to(path)
		(sites / "common_site_config.json").unlink()
		config = json.loads((bench.sites / "common_site_config.json").read_text())
		config["srs_redis_cache"] = f"redis://127.0.0.1:{ports.any_free()}/0"
		(sites / "common_site_config.json").write_text(json.dumps(config))
		env = {"CUT_HOST_SITES": str(sites)}
		with processes.web(env=env, app="benchmarks.cut_host:application") as web:
			yield web.url


@contextmanager
def _answering(url: str, learner: Learner) -> Iterator[list[str]]:
	"""Has a learner answer and read on a host during the block. Yields a list that gets an item for each submission."""
	client, answered = Client([learner], url), []

	def answer() -> None:
		_ms, status, _content = client.request(learner, SUBMIT)
		if status == ACCEPTED:
			answered.append(learner.id)
		client.request(learner, READ)

	with repeating(answer, SECONDS_BETWEEN_ANSWERS):
		yield answered


@contextmanager
def _loads() -> Iterator[list[str]]:
	"""Yields a list that gets the learner's id for each schedule that is loaded into Redis during the block."""
	config = json.loads((current_bench().sites / "common_site_config.json").read_text())
	client = redis.Redis.from_url(config["srs_redis_cache"].partition("?")[0], decode_responses=True)
	loaded: list[str] = []
	monitor = client.monitor()
	monitor.__enter__()

	def listen() -> None:
		for command in monitor.listen():
			if command["command"] == "PING end":
				return
			words = command["command"].split()
			if scripts.FINISH_LOAD.sha in words:
				loaded.append(words[3].split(":")[-2])

	listener = threading.Thread(target=listen)
	listener.start()
	try:
		yield loaded
	finally:
		client.ping()
		client.execute_command("PING", "end")
		listener.join()
		monitor.__exit__(None, None, None)
