"""What Memora does at the end of each request, one step by itself: no step that fails costs a reply the others.

Frappe stops at the first hook that raises, whichever app's it is. So Memora has one hook, which never raises; and
gate sees to it that it runs also where another app's hook has raised before it.
"""

from collections.abc import Callable

import frappe
from werkzeug.wrappers import Request, Response

from memora import review_page
from memora.api import exports, headers, turns, utils

Step = Callable[[Response | None, Request], None]

STEPS: tuple[Step, ...] = (
	utils.name_unreadable_body,
	utils.name_maintenance,
	utils.set_retry_after,
	utils.observe_latency,
	review_page.set_headers,
	headers.set_headers,
	exports.defuse_exports,
	turns.end_turn,
	utils.tell_of_incident,  # these two last: telling may take long
	utils.tell_of_clock,
)


def end_request(response: Response | None, request: Request) -> None:
	"""Frappe's hook after_request: takes all steps, once for a request."""
	if frappe.flags.memora_has_ended:
		return
	frappe.flags.memora_has_ended = True
	for step in STEPS:
		_take(step, response, request)


def _take(step: Step, response: Response | None, request: Request) -> None:
	try:
		step(response, request)
	except Exception:  # whatever it is, the reply is made, and the other steps are not to blame
		frappe.logger("memora").error(f"{step.__name__} failed at the end of a request", exc_info=True)
