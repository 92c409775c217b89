"""Request times: counted by processes that come, go and are killed, added up, and judged over the last minutes."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import frappe
import pytest

from devtools.paths import PROJECT
from memora.services.operations import health, latency
from memora.services.settings import forget_settings
from tests.integration.waiting import wait_until

COUNT_AND_WAIT = """
	import sys, frappe
	from memora.services.operations import latency
	frappe.init(sys.argv[1], sites_path=".")
	for _ in range(int(sys.argv[2])):
		latency.observe("get_review_session", 200, float(sys.argv[3]))
	print(latency._is_off, flush=True)
	sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
	"""Counts of this test alone. This process, which may count elsewhere, only looks."""
	monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "counts"))
	return tmp_path / "counts"


def start(requests: int = 1, seconds: float = 0.004, site: str | None = None) -> subprocess.Popen:
	"""A process that has counted so many requests of so many seconds, and lives on."""
	args = [sys.executable, "-c", textwrap.dedent(COUNT_AND_WAIT), site or frappe.local.site]
	process = subprocess.Popen(
		[*args, str(requests), str(seconds)],
		stdin=subprocess.PIPE,
		stdout=subprocess.PIPE,
		env={**os.environ, "PYTHONPATH": str(PROJECT)},
	)
	process.is_off = process.stdout.readline().strip() == b"True"
	return process


def end(*processes: subprocess.Popen) -> None:
	for process in processes:
		process.communicate(timeout=30)


def counted() -> float:
	samples = [sample for metric in latency.collect() for sample in metric.samples]
	return sum(sample.value for sample in samples if sample.name.endswith("_count"))


def test_processes_that_end_leave_their_counts_to_the_next(folder):
	assert counted() == 0
	first, second = start(requests=3), start(requests=5)
	assert counted() == 8
	first.send_signal(signal.SIGKILL)
	first.wait()
	third = start(requests=7)
	assert counted() == 15
	assert len(list(folder.glob("*.db"))) == 2
	end(first, second, third)
	end(start(requests=1))
	assert (counted(), len(list(folder.glob("*.db")))) == (16, 2)


def test_a_fork_counts_in_a_file_of_its_own(folder):
	code = textwrap.dedent(COUNT_AND_WAIT).replace(
		"sys.stdin.read()", "os.fork(); latency.observe('get_review_session', 200, 1.0)"
	)
	args = [sys.executable, "-c", f"import os\n{code}", frappe.local.site, "10", "0.1"]
	subprocess.run(args, env={**os.environ, "PYTHONPATH": str(PROJECT)}, check=True, capture_output=True)
	wait_until(lambda: counted() == 12, "what the fork counts, too")
	assert (counted(), len(list(folder.glob("*.db")))) == (12, 2)


def test_sites_of_a_bench_do_not_see_each_other(folder):
	end(start(requests=2, site="memora.localhost"), start(requests=3))
	assert counted() == 3


def test_where_nothing_can_be_counted_nothing_breaks(folder):
	folder.write_text("a file")
	process = start()
	end(process)
	assert process.is_off
	assert folder.read_text() == "a file"


def test_somebody_elses_folder_is_not_used(folder):
	folder.mkdir()
	os.chown(folder, 12345, 12345)
	process = start()
	end(process)
	assert process.is_off
	assert list(folder.iterdir()) == []


def counts(**by_seconds: int) -> list[float]:
	"""counts(up_to_0_1=3): three requests in the bucket that ends at 0.1 s."""
	result = [0.0] * (len(latency.BUCKETS) + 1)
	for name, number in by_seconds.items():
		result[latency.BUCKETS.index(float(name.removeprefix("up_to_").replace("_", ".")))] = number
	return result


@pytest.mark.parametrize(
	("in_buckets", "share", "expected"),
	[
		(counts(), 0.99, None),
		(counts(up_to_0_005=100), 0.5, 0.0025),
		(counts(up_to_0_005=100), 1, 0.005),
		(counts(up_to_0_1=50, up_to_0_2=50), 0.5, 0.1),
		(counts(up_to_0_1=50, up_to_0_2=50), 0.99, 0.15 + 0.05 * 0.98),
		([0.0] * len(latency.BUCKETS) + [1.0], 0.99, 30.0),
	],
)
def test_quantile(in_buckets, share, expected):
	assert latency.quantile(in_buckets, share) == pytest.approx(expected)


def look_back(folder: Path, **ages: float) -> None:
	"""Makes all snapshots so many seconds older."""
	(file,) = folder.glob("snapshots-*.json")
	snapshots = json.loads(file.read_text())
	for snapshot in snapshots:
		snapshot["at"] -= ages["seconds"]
	file.write_text(json.dumps(snapshots))


def test_only_the_last_minutes_are_judged(folder):
	end(start(requests=1000, seconds=1.5))
	os.utime(folder / "0.lock", (time.time() - 7200,) * 2)
	before = latency.recent()[latency.READ]
	assert (before.requests, before.p99_ms) == (1000, pytest.approx(1990, abs=20))
	assert before.seconds == pytest.approx(7200, abs=60)
	look_back(folder, seconds=400)
	end(start(requests=200, seconds=0.004))
	now = latency.recent()[latency.READ]
	assert (now.requests, now.p50_ms, now.p99_ms) == (200, 2.5, pytest.approx(4.95, abs=0.1))
	assert now.seconds == pytest.approx(400, abs=60)
	assert latency.recent()[latency.SUBMIT].requests == 0


def test_snapshots_stay_few(folder):
	end(start())
	os.utime(folder / "0.lock", (0, 0))
	for _ in range(20):
		latency.recent()
		look_back(folder, seconds=61)
	(file,) = folder.glob("snapshots-*.json")
	assert len(json.loads(file.read_text())) == 6


@pytest.mark.parametrize(("seconds", "status"), [(0.09, "ok"), (0.14, "warning"), (0.25, "critical")])
def test_slow_readings_are_found(seconds, status):
	end(start(requests=200, seconds=seconds))
	check = health.get_health()["checks"]["read_latency"]
	assert (check["status"], check["value"]["requests"]) == (status, 200), check


def test_a_few_slow_ones_are_none(folder):
	end(start(requests=99, seconds=5))
	check = health.get_health()["checks"]["read_latency"]
	assert check["status"] == "ok"
	assert "too few requests to judge by (99 " in check["message"]


def test_thresholds_are_settings():
	end(start(requests=200, seconds=0.14))
	frappe.get_doc("Memora Settings").update({"read_p99_warning_ms": 200, "read_p99_critical_ms": 300}).save()
	forget_settings()
	assert health.get_health()["checks"]["read_latency"]["status"] == "ok"
