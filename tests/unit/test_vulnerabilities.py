"""`./dev lint` asks for vulnerabilities: of what, and what it makes of the answer. A server here stands in for osv.dev."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from devtools import vulnerabilities
from devtools.paths import PROJECT

VERSIONS = {"nh3": "0.1", "fsrs": "6.3.1"}


@contextmanager
def answering(body: str) -> Iterator[tuple[str, list]]:
	"""The address of a server that answers once, and what it was asked."""
	asked = []

	class Handler(BaseHTTPRequestHandler):
		def do_POST(self):
			asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
			self.send_response(200)
			self.end_headers()
			self.wfile.write(body.encode())

		def log_message(self, *args):
			pass

	with HTTPServer(("127.0.0.1", 0), Handler) as server:
		thread = Thread(target=server.handle_request)
		thread.start()
		yield f"http://127.0.0.1:{server.server_port}", asked
		thread.join()


def test_it_asks_of_what_memora_requires_alone():
	versions = vulnerabilities.required((PROJECT / "pyproject.toml").read_text())
	assert {"fsrs", "nh3", "prometheus_client", "tzdata", "zstandard"} <= set(versions)
	assert "frappe" not in versions
	assert all(versions.values())


def test_each_known_vulnerability_is_a_line():
	with answering('{"results": [{"vulns": [{"id": "GHSA-1"}, {"id": "PYSEC-2"}]}, {}]}') as (url, asked):
		lines = vulnerabilities.ask(VERSIONS, url)
	assert lines == ["nh3 0.1: https://osv.dev/GHSA-1", "nh3 0.1: https://osv.dev/PYSEC-2"]
	assert asked[0]["queries"][0] == {"package": {"name": "nh3", "ecosystem": "PyPI"}, "version": "0.1"}
	assert len(asked[0]["queries"]) == len(VERSIONS)


@pytest.mark.parametrize("body", ["", "<html>", "{}", '{"results": [{}]}'])
def test_an_answer_that_is_none_is_no_clean_bill(body):
	with answering(body) as (url, _), pytest.raises(vulnerabilities.NOT_ASKED):
		vulnerabilities.ask(VERSIONS, url)


def test_nobody_answers():
	with answering('{"results": []}') as (url, _), pytest.raises(vulnerabilities.NOT_ASKED):
		vulnerabilities.ask(VERSIONS, url)
	with pytest.raises(vulnerabilities.NOT_ASKED):
		vulnerabilities.ask(VERSIONS, url)  # the server is gone
