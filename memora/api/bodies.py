"""The limit on the size of what Memora's endpoints are sent."""

from collections.abc import Callable
from functools import wraps

import frappe
from frappe import _
from werkzeug.wrappers import Request

from memora.api.outages import OWN_PATH
from memora.exceptions import BodyTooLarge, quoting

MAX_BODY_BYTES = 64 * 1024  # 50 answers take some 10 kB
# A client that is still sending while the connection is closed may lose the reply. So a little is read before the refusal.
READ_TO_THE_END_BYTES = 1024 * 1024
MARK = "refuses_large_bodies"


def limit_bodies() -> None:
	"""Frappe's hook before_request: refuses a body of more than 64 kB. Raises BodyTooLarge.

	Frappe reads a body before it asks any hook, and a few large bodies of JSON, read at the same time, hold up all threads of
	a web process for seconds. So the first request of a process puts the check before Frappe's reader.
	"""
	from frappe import app  # slow to import, and imported wherever there is a request

	reader = app.make_form_dict
	if not hasattr(reader, MARK):
		app.make_form_dict = _limited(reader)
	refuse_large_body(frappe.local.request)


def _limited(reader: Callable[[Request], None]) -> Callable[[Request], None]:
	@wraps(reader)
	def read(request: Request) -> None:
		refuse_large_body(request)
		reader(request)

	setattr(read, MARK, True)
	return read


def refuse_large_body(request: Request) -> None:
	"""Raises BodyTooLarge if a request to an endpoint of Memora has a body of more than 64 kB, or of unknown size."""
	if not OWN_PATH.match(request.path):
		return
	size = request.content_length
	if size is None and "chunked" not in request.headers.get("Transfer-Encoding", ""):
		return
	if size is not None and size <= MAX_BODY_BYTES:
		return
	if size and size <= READ_TO_THE_END_BYTES:
		request.get_data(cache=False)
	frappe.flags.disable_traceback = True
	frappe.throw(
		quoting(_("The body must have at most {0} bytes, and say how many it has."), MAX_BODY_BYTES),
		BodyTooLarge,
	)
