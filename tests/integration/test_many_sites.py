"""Forty sites in one process: each keeps its connections, and what it has missed; and its requests are counted."""

import json
import os
import subprocess
import sys
import textwrap

import frappe
import pytest

from devtools.paths import PROJECT
from memora.services.cache.connections import Place
from memora.services.cache.server import Server, server_of
from memora.services.operations import latency
from tests.integration.redis_proxy import RedisProxy

SITES = [f"school-{number}.example" for number in range(40)]
COUNT = """
	import json, sys, frappe
	from memora.services.operations import latency
	frappe.init("school-0.example", sites_path=".")
	for site in json.loads(sys.argv[1]):
		frappe.local.site = site
		for endpoint in set(latency.ENDPOINTS.values()):
			for code in (200, 429, 503):
				latency.observe(endpoint, code, 0.1)
"""


@pytest.fixture
def servers(site):
	proxy = RedisProxy(frappe.local.conf.srs_redis_cache)
	place = Place(proxy.url)
	yield proxy, lambda: [server_of(name, place, "") for name in SITES]
	for server in (server_of(name, place, "") for name in SITES):
		server.client.connection_pool.disconnect()
	proxy.stop()


def ping(server: Server) -> bool:
	return server.run(lambda client: client.ping(), lambda client: None)


def test_each_site_keeps_its_connections_and_what_it_has_missed(servers):
	proxy, all_of_them = servers
	assert all(map(ping, all_of_them()))
	all_of_them()[0].has_missed_writes = True
	assert all(map(ping, all_of_them()))
	assert proxy.connections == len(SITES)
	assert [server.has_missed_writes for server in all_of_them()] == [True] + [False] * (len(SITES) - 1)


def test_counts_of_all_sites_have_room(tmp_path):
	"""A file that grows takes room that the disk may not have, which kills the process."""
	(tmp_path / "apps.txt").write_text("frappe\n")
	for name in SITES:
		(tmp_path / name).mkdir()
		(tmp_path / name / "site_config.json").write_text("{}")
	args = [sys.executable, "-c", textwrap.dedent(COUNT), json.dumps(SITES)]
	settings = {"PYTHONPATH": str(PROJECT), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "counts")}
	subprocess.run(args, cwd=tmp_path, env={**os.environ, **settings}, check=True, timeout=60)
	(file,) = (tmp_path / "counts").glob("*.db")
	used = int.from_bytes(file.read_bytes()[:4], sys.byteorder)
	assert used > latency.FILE_BYTES  # more than one site's room
	assert used < file.stat().st_size == len(SITES) * latency.SITE_BYTES
