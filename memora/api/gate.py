"""What is refused before Frappe begins to work for a request, and what comes after all that Frappe does.

Frappe reads a body and looks up the session before it asks any hook. By then a few large bodies of JSON have held up all
threads of a web process for seconds, and a client that sends without a pause has cost most of what it can cost. So the
first request of a process puts the gate before Frappe's reader of bodies, and a way out behind the hooks of all apps.
"""

from collections.abc import Callable
from functools import wraps

import frappe
from werkzeug.wrappers import Request, Response

from memora.api import bodies, endings, turns

MARK = "stands_behind_memoras_gate"


def set_up() -> None:
	"""Frappe's hook before_request: sets the gate up, and sends the first request of a process through it."""
	from frappe import app  # slow to import, and imported wherever there is a request

	reader = app.make_form_dict
	if not hasattr(reader, MARK):
		app.make_form_dict = _behind_gate(reader)
		app.run_after_request_hooks = _before_way_out(app.run_after_request_hooks)
	pass_through(frappe.local.request, frappe.session.user or "")


def pass_through(request: Request, user: str = "") -> None:
	"""Refuses a request that is to cost nothing more, with RateLimitExceeded or BodyTooLarge."""
	bodies.refuse_large_body(request)
	turns.admit(request, user)


def _behind_gate(reader: Callable[[Request], None]) -> Callable[[Request], None]:
	@wraps(reader)
	def read(request: Request) -> None:
		pass_through(request)
		reader(request)

	setattr(read, MARK, True)
	return read


def _before_way_out(hooks: Callable[[Request, Response | None], None]) -> Callable[..., None]:
	@wraps(hooks)
	def run(request: Request, response: Response | None) -> None:
		try:
			hooks(request, response)
		finally:  # if a hook of another app has raised, Memora's has not run
			if getattr(frappe.local, "initialised", False):
				endings.end_request(response, request)

	return run
