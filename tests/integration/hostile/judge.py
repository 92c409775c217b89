"""What an answer to a hostile client must not be."""

import re
from collections.abc import Mapping
from typing import Any

import frappe
import requests

from memora import exceptions
from memora.exceptions import MemoraError
from tests.integration.hostile.values import MARKUP

OF_MEMORA = {
	name
	for name, error in vars(exceptions).items()
	if isinstance(error, type) and issubclass(error, MemoraError) and error is not MemoraError
}
OF_FRAPPE = {
	error.__name__ for error in (frappe.PermissionError, frappe.AuthenticationError, frappe.CSRFTokenError)
}
# Frappe's, of documents
OF_DOCUMENTS = {
	error.__name__
	for error in (
		frappe.DoesNotExistError,
		frappe.LinkValidationError,
		frappe.MandatoryError,
		frappe.TimestampMismatchError,
		frappe.ValidationError,
	)
}
TRACE = re.compile(r"Traceback \(most recent|File \\?\"|site-packages|frappe/(app|api|handler)\.py")


def judge(response: requests.Response, hers: set[str], also: frozenset[str] | set[str] = frozenset()) -> None:
	"""Fails if an answer is a server's error, has no name, shows code or markup, or anything of another learner."""
	text, status = response.text, response.status_code
	what = f"{status} {response.request.method} {response.request.url[:300]}: {text[:1500]}"
	assert status < 500, what
	is_own = "memora." in response.request.url
	assert not (TRACE.search(text) and (is_own or name_of(response) in OF_MEMORA)), what
	assert MARKUP not in text, what
	sent = _sent(response.request)
	assert not [word for word in hers if word in text and word not in sent], what
	if status >= 400:
		assert name_of(response) in OF_MEMORA | OF_FRAPPE | set(also), what
	assert not is_own or is_guarded(response.headers), what


def is_guarded(headers: Mapping[str, str]) -> bool:
	return headers.get("X-Content-Type-Options") == "nosniff" and "default-src 'none'" in headers.get(
		"Content-Security-Policy", ""
	)


def name_of(response: requests.Response) -> Any:
	"""Returns the name of the error by which a request is refused, in either version of Frappe's API."""
	try:
		body = response.json()
	except ValueError:
		return None
	return body["errors"][0]["type"] if "errors" in body else body.get("exc_type")


def _sent(request: requests.PreparedRequest) -> str:
	body = request.body or b""
	return f"{request.url} {body.decode(errors='replace') if isinstance(body, bytes) else body}"
