"""Real HTTP, as a learner's app speaks it."""

from typing import Any

import requests

from tests.integration import contract

TIMEOUT_SECONDS = 30


class Client:
	"""Calls endpoints of one server, as a guest or with a token. Never raises because of a status, but where a
	response is not what docs/openapi.json says."""

	def __init__(self, url: str, token: str | None = None) -> None:
		self.url = url
		self.session = requests.Session()
		self.session.trust_env = False  # no proxy
		if token:
			self.session.headers["Authorization"] = token

	def get(self, method: str, **params: Any) -> requests.Response:
		return self.request("GET", f"/api/method/{method}", params=params)

	def post(self, method: str, **arguments: Any) -> requests.Response:
		return self.request("POST", f"/api/method/{method}", json=arguments)

	def request(self, verb: str, path: str, **options: Any) -> requests.Response:
		response = self.session.request(verb, self.url + path, timeout=TIMEOUT_SECONDS, **options)
		contract.check(response)
		return response


def message(response: requests.Response) -> Any:
	"""Returns what an endpoint has returned. Fails unless the status is 200."""
	assert response.status_code == 200, response.text
	return response.json()["message"]
