"""A worker's URL of the queue's Redis."""

import os

import frappe
import pytest

from memora import worker_urls

PLAIN = "redis://127.0.0.1:11000"


@pytest.mark.parametrize(
	("url", "expected"),
	[
		(PLAIN, PLAIN),
		(f"{PLAIN}?socket_timeout=0.5", PLAIN),
		(f"{PLAIN}/2?socket_timeout=0.5&socket_connect_timeout=0.5", f"{PLAIN}/2?socket_connect_timeout=0.5"),
		(
			"rediss://me:p%40ss@[::1]:11000?ssl_ca_certs=/etc/a%20b&socket_timeout=1",
			"rediss://me:p%40ss@[::1]:11000?ssl_ca_certs=/etc/a%20b",
		),
		("unix:///run/redis.sock?socket_timeout=1&db=2", "unix:///run/redis.sock?db=2"),
	],
)
def test_a_timeout_is_left_out(url, expected):
	assert worker_urls.without_timeout(url) == expected


@pytest.mark.parametrize(
	("arguments", "waits"),
	[
		(["frappe", "worker", "--queue", "srs_write"], True),
		(["frappe", "worker-pool", "--num-workers", "2"], True),
		(["frappe", "schedule"], False),
		(["frappe", "--site", "a.site", "memora", "drain"], False),
	],
)
def test_only_workers_wait(monkeypatch, arguments, waits):
	url = f"{PLAIN}?socket_timeout=0.5"
	monkeypatch.setenv(worker_urls.VARIABLE, url)
	monkeypatch.setattr(frappe.local, "conf", frappe._dict(redis_queue=url), raising=False)
	worker_urls.let_workers_wait(arguments)
	assert os.environ[worker_urls.VARIABLE] == (PLAIN if waits else url)
