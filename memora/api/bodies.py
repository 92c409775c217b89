"""The limit on the size of what Memora's endpoints are sent."""

import frappe
from werkzeug.wrappers import Request

from memora.api.outages import is_own
from memora.api.refusals import refuse_at_once
from memora.exceptions import BodyTooLarge

MAX_BODY_BYTES = 64 * 1024  # 50 answers take some 10 kB
# A client that is still sending while the connection is closed may lose the reply. So a little is read before the refusal.
READ_TO_THE_END_BYTES = 1024 * 1024
# The name of frappe.call's own first argument. Frappe calls an endpoint with all that a client has sent, by name, and fails.
NAME_OF_FRAPPE = "fn"


def drop_name_of_frappe() -> None:
	"""Frappe's hook before_request: an argument that the desk's endpoints do not have is overlooked, whatever its name."""
	if is_own(frappe.local.request):
		frappe.local.form_dict.pop(NAME_OF_FRAPPE, None)


def refuse_large_body(request: Request) -> None:
	"""Refuses a request to an endpoint of Memora whose body has more than 64 kB, or does not say how many bytes it has."""
	if not is_own(request):
		return
	size = request.content_length
	if size is None and "chunked" not in request.headers.get("Transfer-Encoding", ""):
		return
	if size is not None and size <= MAX_BODY_BYTES:
		return
	if size and size <= READ_TO_THE_END_BYTES:
		request.get_data(cache=False)
	refuse_at_once(
		BodyTooLarge, f"The body must have at most {MAX_BODY_BYTES} bytes, and say how many it has."
	)
