"""Tells browsers what they may do with Memora's replies. The learner's page says more; see memora/review_page.py."""

from werkzeug.wrappers import Request, Response

from memora.api.outages import PAGE, is_own

HEADERS = {
	"X-Content-Type-Options": "nosniff",
	"Referrer-Policy": "same-origin",
	"X-Frame-Options": "SAMEORIGIN",
}
# Of a reply that is no page: should a browser be made to show it, nothing in it is loaded, run or framed
POLICY_OF_DATA = "default-src 'none'; frame-ancestors 'none'"


def set_headers(response: Response | None, request: Request) -> None:
	"""At the end of a request: sets the headers of the replies of Memora's endpoints and of its page."""
	if response and (is_own(request) or request.path.rstrip("/") == PAGE):
		for name, value in HEADERS.items():
			response.headers.setdefault(name, value)
		if response.mimetype != "text/html":
			response.headers.setdefault("Content-Security-Policy", POLICY_OF_DATA)
