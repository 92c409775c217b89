"""The limit on the size of what Memora's endpoints are sent."""

import frappe
from frappe import _
from werkzeug.wrappers import Request

from memora.api.outages import OWN_PATH
from memora.exceptions import BodyTooLarge, quoting

MAX_BODY_BYTES = 64 * 1024  # 50 answers take some 10 kB
# A client that is still sending while the connection is closed may lose the reply. So a little is read before the refusal.
READ_TO_THE_END_BYTES = 1024 * 1024


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
