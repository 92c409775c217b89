"""Answers 503 with Retry-After while MariaDB can't be used, wherever Frappe gets as far as to ask the app.

Frappe ends each request with a commit or a rollback. With a connection that is lost this fails, and the client gets
the web server's bare page for 500. So a lost connection is taken away from Frappe, which then ends the request without.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import frappe
from frappe import _
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wrappers import Request

from memora.exceptions import DatabaseUnavailable
from memora.services.store import database, failures, surroundings

PAGE = "/review"
OWN_PATH = re.compile(r"/api(/v\d+)?/method/memora\.")


def is_own(request: Request) -> bool:
	"""Says whether a request is to an endpoint of Memora, by its address or by Frappe's old argument `cmd`."""
	command = (getattr(frappe.local, "form_dict", None) or {}).get("cmd")
	return bool(OWN_PATH.match(request.path)) or str(command or "").startswith("memora.")


def reach_database() -> None:
	"""Frappe's hook before_request: refuses requests to Memora's endpoints if MariaDB can't be reached.

	A token is looked up in MariaDB after this hook, and that error would be Frappe's. Where MariaDB takes no writes, Frappe is
	told so, for the learner's page, too.
	"""
	request = frappe.local.request
	if is_own(request):
		with needs_database():
			database.connect()
			_heed_server()
	elif request.path.rstrip("/") == PAGE:
		_heed_server()


def _heed_server() -> None:
	surroundings.heed_read_only()
	surroundings.see_one_moment()


@contextmanager
def needs_database() -> Iterator[None]:
	"""Raises DatabaseUnavailable in place of an error of MariaDB that may pass. Also a decorator of endpoints.

	Errors that Memora has named already, such as JournalUnavailable, stay as they are.
	"""
	try:
		yield
	except failures.ERRORS as error:
		if not failures.may_pass(error):
			raise
		frappe.logger("memora").error(f"MariaDB: {error}")
		_say_unavailable(error)
	except Exception as error:  # an error with a name of Memora's may come of a lost connection, too
		_let_go_if_lost(error)
		raise


def _say_unavailable(error: Exception) -> NoReturn:
	try:
		DatabaseUnavailable.throw(_("The database can't be used at the moment. Try again in some seconds."))
	except failures.ERRORS:  # translations are looked up in MariaDB if they are not cached
		raise DatabaseUnavailable from error
	except DatabaseUnavailable as refusal:
		if gets_json():
			raise
		seconds = DatabaseUnavailable.RETRY_AFTER_SECONDS
		raise ServiceUnavailable(str(refusal), retry_after=seconds) from error  # Frappe's page needs MariaDB
	finally:
		_let_go_if_lost(error)


def _let_go_if_lost(error: BaseException | None) -> None:
	"""Takes the connection away from Frappe, if the error or what has led to it says that it is lost. Only in a request."""
	while error and not failures.is_lost(error):
		error = error.__cause__ or error.__context__
	if error and getattr(frappe.local, "request", None):
		database.let_go()


def gets_json() -> bool:
	"""Says whether Frappe answers this request's errors in JSON, by Frappe's own rule. True outside of requests."""
	request = getattr(frappe.local, "request", None)
	if not request:
		return True
	accept = request.headers.get("Accept", "")
	if accept and (frappe.local.is_ajax or "application/json" in accept):
		return True
	return request.path.startswith("/api/") and not accept.startswith("text")
