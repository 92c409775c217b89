"""An HTTP client for one learner. It keeps its connection, and signs in by API key or by session cookie and CSRF token."""

import re
import time
from collections import defaultdict
from typing import Any

import requests

from devtools.report import Failure

TIMEOUT_SECONDS = 60
CSRF_TOKEN = re.compile(r'csrf_token = "(\w+)"')

# Method -> milliseconds of each request.
Timings = dict[str, list[float]]


class Client:
	"""One learner's session. A status other than 200 raises Failure. Two threads must not use it at the same time."""

	def __init__(self, url: str, user: str) -> None:
		self.url, self.user = url, user
		self.timings: Timings = defaultdict(list)
		self.session = requests.Session()
		self.session.trust_env = False  # no proxy stands between a learner and this server

	def use_token(self, key: str, secret: str) -> "Client":
		self.session.headers["Authorization"] = f"token {key}:{secret}"
		return self

	def log_in(self, password: str, page: str = "me") -> "Client":
		"""Signs in. Keeps the session cookie and the CSRF token that the page carries, as Frappe's own pages do."""
		self._request("POST", "/api/method/login", json={"usr": self.user, "pwd": password})
		found = CSRF_TOKEN.search(self._request("GET", f"/{page}").text)
		if not found:
			raise Failure(f"/{page} carries no CSRF token for {self.user}")
		self.session.headers["X-Frappe-CSRF-Token"] = found[1]
		return self

	def get(self, method: str, **arguments: Any) -> dict[str, Any]:
		return self._call("GET", method, params=arguments)

	def post(self, method: str, **arguments: Any) -> dict[str, Any]:
		return self._call("POST", method, json=arguments)

	def look(self, method: str) -> dict[str, Any]:
		"""Calls an endpoint by GET, without timing the request. Comparisons use it, so that the timings hold only learners' requests."""
		return self._request("GET", f"/api/method/{method}").json()["message"]

	def _call(self, verb: str, method: str, **how: Any) -> dict[str, Any]:
		begin = time.perf_counter()
		response = self._request(verb, f"/api/method/{method}", **how)
		self.timings[method].append((time.perf_counter() - begin) * 1000)
		return response.json()["message"]

	def _request(self, verb: str, path: str, **how: Any) -> requests.Response:
		response = self._send(verb, self.url + path, **how)
		if response.status_code != 200:
			status, text = response.status_code, response.text[:500]
			raise Failure(f"{verb} {path} of {self.user} was answered {status}: {text}")
		return response

	def _send(self, verb: str, url: str, **how: Any) -> requests.Response:
		"""Sends a request, and sends it a second time if the connection fails: the server closes idle connections.

		A submission carries an id, so the second request does not count its answers twice.
		"""
		try:
			return self.session.request(verb, url, timeout=TIMEOUT_SECONDS, **how)
		except requests.ConnectionError:
			return self.session.request(verb, url, timeout=TIMEOUT_SECONDS, **how)


def merged(timings: list[Timings]) -> Timings:
	"""Joins the timings of several clients."""
	everything: Timings = defaultdict(list)
	for one in timings:
		for method, milliseconds in one.items():
			everything[method] += milliseconds
	return everything
