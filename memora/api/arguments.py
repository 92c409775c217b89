"""Refuses arguments that an endpoint does not have. Frappe would drop them, and whoever sends them would never know."""

import difflib
import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

import frappe
from frappe import _

from memora import api
from memora.api.outages import OWN_PATH
from memora.exceptions import UnknownArgument, quoting

# What Frappe reads itself. A body that is a list comes as `data`.
OF_FRAPPE = {"cmd", "csrf_token", "sid", "_", "_lang", "data"}
# What callers of earlier systems send, and its name here
FORMER = {
	"topic_id": "topic",
	"subject_id": "subject",
	"time_spent_ms": "response_time_ms",
	"season_id": "season",
}


def refuse_unknown() -> None:
	"""Frappe's hook before_request. Raises UnknownArgument.

	An app that has an endpoint of its own in place of ours has arguments of its own.
	"""
	method = _method()
	endpoint = _endpoint(method) if method else None
	if not endpoint or method in frappe.get_hooks("override_whitelisted_methods"):
		return
	known = _known(endpoint)
	for name in frappe.form_dict:
		if name not in known and name not in OF_FRAPPE:
			_name_it(name, endpoint.__name__, known)


def _method() -> str:
	"""Returns the dotted path that the request calls, as far as it is one of Memora's."""
	path = frappe.local.request.path
	method = path.rstrip("/").rpartition("/")[2] if OWN_PATH.match(path) else frappe.form_dict.get("cmd")
	return str(method or "")


def _endpoint(method: str) -> Callable[..., Any] | None:
	"""Returns the documented endpoint of a dotted path, long or short; None for other methods."""
	package, _dot, name = method.rpartition(".")
	module = api.MODULES.get(name)
	if not module or package not in (api.__name__, f"{api.__name__}.{module}"):
		return None
	return getattr(api, name)


@lru_cache
def _known(endpoint: Callable[..., Any]) -> tuple[str, ...]:
	return tuple(inspect.signature(endpoint).parameters)


def _name_it(name: str, endpoint: str, known: tuple[str, ...]) -> None:
	if meant := meant_by(name, known):
		_refuse(quoting(_("{0} has no argument {1}. Did you mean {2}?"), endpoint, name[:80], meant))
	if known:
		_refuse(quoting(_("{0} has no argument {1}. It has {2}."), endpoint, name[:80], ", ".join(known)))
	_refuse(quoting(_("{0} has no argument {1}. It has none."), endpoint, name[:80]))


def _refuse(message: str) -> NoReturn:
	frappe.throw(message, UnknownArgument)


def meant_by(name: str, known: tuple[str, ...]) -> str | None:
	"""Returns which of these names was meant, if any is near."""
	if FORMER.get(name) in known:
		return FORMER[name]
	if name == "time_spent_ms" and "responses" in known:
		return "responses[].response_time_ms"
	return next(iter(difflib.get_close_matches(name, known, 1)), None)
