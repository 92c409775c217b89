"""Refuses a request before Frappe works for it: Frappe's own way to an error costs as much as an answer."""

import json
from http import HTTPStatus
from typing import NoReturn

import frappe
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from memora.api.headers import HEADERS, POLICY_OF_DATA
from memora.api.outages import gets_json
from memora.exceptions import MemoraError
from memora.services.store import database


def refuse_at_once(error: type[MemoraError], text: str, headers: dict[str, str] | None = None) -> NoReturn:
	"""Raises what Frappe passes on as it is. The client gets what would become of the error, but not translated."""
	database.let_go()  # or Frappe connects to MariaDB, to roll back
	frappe.local.initialised = False  # or it asks Redis for the hooks that are run after a request
	raise HTTPException(response=_response(error, text, {**HEADERS, **(headers or {})}))


def _response(error: type[MemoraError], text: str, headers: dict[str, str]) -> Response:
	status, name = error.http_status_code, error.__name__
	if not gets_json():
		title = f"{status} {HTTPStatus(status).phrase}"
		page = f"<!doctype html>\n<html lang=en>\n<title>{title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n"
		return Response(page, status, headers, content_type="text/html; charset=utf-8")
	body = {"exc_type": name, "exception": text, "errors": [{"type": name, "message": text}]}
	policy = {"Content-Security-Policy": POLICY_OF_DATA}
	return Response(json.dumps(body), status, {**headers, **policy}, content_type="application/json")
