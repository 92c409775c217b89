"""Web processes and workers on different hosts: each host notes its request times, and health judges all of them."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import frappe
import pytest

from devtools import processes
from devtools.paths import PROJECT
from memora.services.operations import doctor, health, hosts
from memora.services.settings import forget_settings
from memora.services.store import hosts as host_rows
from memora.services.store.hosts import Host
from tests.integration import state
from tests.integration.client import Client
from tests.integration.connections import raw_connection
from tests.integration.factories import make_learner

READ = "memora.api.reviews.get_review_session"
OTHER_HOSTS = """
	import json, os, socket, sys, frappe
	from memora.services.operations import hosts, latency
	site, folder, served = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
	for host, (requests, seconds) in served.items():
		if not os.fork():
			os.environ["PROMETHEUS_MULTIPROC_DIR"] = f"{folder}/{host}"
			socket.gethostname = lambda: host
			frappe.init(site, sites_path=".")
			frappe.connect()
			for _ in range(requests):
				latency.observe("get_review_session", 200, seconds)
			hosts.note_if_due()
			os._exit(0)
		assert os.wait()[1] == 0
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
	"""This process is a worker on a host where nobody counts."""
	monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "worker"))
	return tmp_path


def serve_elsewhere(folder: Path, **served: tuple[int, float]) -> None:
	"""Hosts whose processes have counted so many requests of so many seconds, and have noted them."""
	args = [
		sys.executable,
		"-c",
		textwrap.dedent(OTHER_HOSTS),
		frappe.local.site,
		str(folder),
		json.dumps(served),
	]
	subprocess.run(args, env={**os.environ, "PYTHONPATH": str(PROJECT)}, check=True, timeout=60)


def read_latency() -> dict:
	frappe.db.rollback()
	return health.get_health()["checks"]["read_latency"]


@pytest.fixture
def web_of_another_host(site, folder) -> Iterator[Client]:
	elsewhere = {"PROMETHEUS_MULTIPROC_DIR": str(folder / "web")}
	with processes.web(site, env=elsewhere, app="tests.integration.served:application") as handle:
		yield Client(handle.url, make_learner().token)


def test_a_worker_sees_what_another_host_has_served(web_of_another_host, folder, season, monkeypatch):
	monkeypatch.setattr(health, "ENOUGH_REQUESTS", 5)
	limits = {"read_p99_warning_ms": 1, "read_p99_critical_ms": 60_000}
	frappe.get_doc("Memora Settings").update(limits).save()
	frappe.db.commit()
	forget_settings()
	for _ in range(health.ENOUGH_REQUESTS):
		assert web_of_another_host.get(READ).ok
	(row,) = state.rows("Memora Host")
	assert (
		row.read_requests < health.ENOUGH_REQUESTS
	)  # noted at its first request, and not again for a minute
	(noted,) = (folder / "web").glob("noted-*")
	os.utime(noted, (0, 0))
	assert web_of_another_host.get(READ).ok
	(row,) = state.rows("Memora Host")
	assert row.read_requests == health.ENOUGH_REQUESTS + 1
	found = read_latency()
	assert (found["status"], found["value"]["requests"]) == ("warning", health.ENOUGH_REQUESTS + 1)


def test_the_slow_host_is_named_though_it_is_one_among_many(folder):
	serve_elsewhere(folder, quick=(20_000, 0.004), other=(20_000, 0.004), slow=(200, 0.25))
	found = read_latency()
	assert (found["status"], found["value"]["requests"]) == ("critical", 40_200)
	assert found["value"]["p99_ms"] < 100
	assert "The slowest host is slow: p99 29" in found["message"]


def test_requests_of_all_hosts_are_enough_together(folder):
	serve_elsewhere(folder, a=(60, 0.25), b=(60, 0.25))
	assert (read_latency()["status"], read_latency()["value"]["requests"]) == ("critical", 120)


def test_a_host_that_is_gone_is_not_judged(folder):
	serve_elsewhere(folder, gone=(200, 0.25))
	frappe.db.sql("UPDATE `tabMemora Host` SET seen_at = seen_at - INTERVAL 6 MINUTE")
	frappe.db.commit()
	assert read_latency()["status"] == "ok"
	frappe.db.sql("UPDATE `tabMemora Host` SET seen_at = seen_at - INTERVAL 8 DAY")
	frappe.db.commit()
	serve_elsewhere(folder, new=(1, 0.25))
	assert [row.host for row in state.rows("Memora Host")] == ["new"]


def test_a_host_is_noted_and_seen_beside_others():
	def values(name: str, host: str, number: int) -> dict:
		columns = ("seconds", "read_requests", "read_p99_ms", "submit_requests", "submit_p99_ms")
		figures = {column: number + place for place, column in enumerate(columns)}
		return {
			"name": name,
			"host": host,
			**figures,
			"is_threaded": number % 2,
			"counts": json.dumps([number]),
		}

	noted = {
		name: values(name, host, number)
		for name, host, number in (("a", "y", 1), ("b", "x", 2), ("c", "x", 3))
	}
	for of_host in noted.values():
		host_rows.note(of_host)
	frappe.db.sql("UPDATE `tabMemora Host` SET seen_at = seen_at - INTERVAL 6 DAY, modified = '2026-01-01'")
	frappe.db.commit()
	assert list(host_rows.get_seen(300)) == []
	assert host_rows.get_without_threads(7 * 86400) == ["x"]
	noted["a"] = values("a", "z", 50)
	host_rows.note(noted["a"])
	rows = state.rows("Memora Host")
	assert [{column: row[column] for column in noted[row.name]} for row in rows] == list(noted.values())
	assert [row.modified > datetime(2026, 1, 2) for row in rows] == [True, False, False]
	frappe.db.rollback()
	assert [(host.name, host.host) for host in host_rows.get_seen(7 * 86400)] == [
		("b", "x"),
		("c", "x"),
		("a", "z"),
	]
	assert list(host_rows.get_seen(300)) == [Host("a", "z", 50, "[50]")]
	frappe.db.sql("UPDATE `tabMemora Host` SET seen_at = seen_at - INTERVAL 2 DAY WHERE name = 'b'")
	frappe.db.commit()
	host_rows.note(noted["a"])
	assert [row.name for row in state.rows("Memora Host")] == ["a", "c"]


def test_counts_of_another_release_are_left_out(folder):
	serve_elsewhere(folder, old=(200, 0.25))
	frappe.db.sql("""UPDATE `tabMemora Host` SET counts = '{"get_review_session": [1, 2]}'""")
	frappe.db.commit()
	assert read_latency()["value"]["requests"] == 0


def test_a_host_that_can_t_note_goes_on(folder):
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute("RENAME TABLE `tabMemora Host` TO `memora_host_aside`")
		try:
			serve_elsewhere(folder, a=(1, 0.1))
		finally:
			cursor.execute("RENAME TABLE `memora_host_aside` TO `tabMemora Host`")
	assert state.rows("Memora Host") == []


def test_a_host_notes_once_a_minute(folder, monkeypatch):
	monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
	assert [hosts._take_turn(now) for now in (1000.0, 1059.0, 1060.0, 1061.0)] == [True, False, True, False]


def test_a_host_whose_clock_is_set_back_notes_its_figures_at_once(folder, monkeypatch):
	monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
	assert [hosts._take_turn(now) for now in (9000.0, 1000.0, 1059.0)] == [True, True, False]


@pytest.mark.parametrize("options", [(), ("--worker-class=sync", "--threads=1")], ids=["threads", "sync"])
def test_the_doctor_notes_hosts_whose_processes_serve_one_request_at_a_time(site, folder, season, options):
	"""As with the gunicorn that `bench setup supervisor` configures."""
	elsewhere = {"PROMETHEUS_MULTIPROC_DIR": str(folder / "web")}
	app = "tests.integration.served:application"
	with processes.web(site, env=elsewhere, app=app, options=options) as handle:
		assert Client(handle.url, make_learner().token).get(READ).ok
	(row,) = state.rows("Memora Host")
	note = f"Each web process on {row.host} serves one request at a time."
	assert (row.is_threaded, note in doctor.get_notes()) == (int(not options), bool(options))
