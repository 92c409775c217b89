"""Shared by the endpoints: who calls, who may call, and Frappe's hooks around a request."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import frappe
from frappe import _
from frappe.utils.response import report_error
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Request, Response

from memora.api import turns
from memora.api.outages import OWN_PATH, PAGE, gets_json, is_own, needs_database
from memora.exceptions import (
	DatabaseUnavailable,
	InvalidBody,
	MemoraError,
	NotALearner,
	RateLimitExceeded,
	quoting,
)
from memora.services.alerts import MANAGER_ROLES
from memora.services.cache import incidents
from memora.services.cache.incidents import OpenIncident
from memora.services.cache.safe_mode import SafeModeManager
from memora.services.learning import learners
from memora.services.learning.learners import Sitting
from memora.services.operations import awake, clocks, hosts, latency
from memora.services.settings import get_settings
from memora.services.store import seasons

LEARNER_HEADER = "X-Memora-Learner"  # percent-encoded
MONITOR_ROLE = "Memora Monitor"
MAINTENANCE_SECONDS = 30  # until a refused client comes back; maintenance takes minutes


def get_active_season() -> str | None:
	"""Returns the name of the active season, or None if no season is active."""
	season = seasons.get_active_season()
	return season.name if season else None


def sit_down() -> Sitting:
	"""Returns the id of the signed-in user, who learns only for herself, and the active season; one query.

	Raises PermissionError, NotALearner, LearnerIsErased.
	"""
	user = _signed_in()
	require_learner_role()
	sitting = learners.sit_down(user)
	_require_learner_meant(sitting.learner)
	return sitting


def learner_or_manager() -> str | None:
	"""Returns the signed-in user's id, for what a manager may do, too. A manager may have none.

	Raises PermissionError, NotALearner, LearnerIsErased.
	"""
	if not is_manager():
		return sit_down().learner
	learner = learners.look_up(_signed_in())
	_require_learner_meant(learner)
	return learner


def _signed_in() -> str:
	if frappe.session.user == "Guest":
		frappe.throw(_("Log in to learn."), frappe.PermissionError)
	turns.require(frappe.session.user)
	return frappe.session.user


def require_learner_role() -> None:
	"""Raises NotALearner for a user without the role in Memora Settings.

	While the settings name no role, the key of a monitoring system is no learner all the same: whoever finds it in
	Prometheus' configuration shall read figures, and no questions.
	"""
	role, roles = get_settings().learner_role, frappe.get_roles()
	if role and role not in roles:
		frappe.throw(quoting(_("Learners on this site have the role {0}. You don't."), _(role)), NotALearner)
	if not role and MONITOR_ROLE in roles and not is_manager():
		frappe.throw(quoting(_("A user with the role {0} does not learn."), _(MONITOR_ROLE)), NotALearner)


def _require_learner_meant(learner: str | None) -> None:
	"""Raises PermissionError if a page was opened for another learner, whose id or e-mail its requests name.

	Somebody else may have signed in since, in another tab.
	"""
	request = getattr(frappe.local, "request", None)
	meant = unquote(request.headers.get(LEARNER_HEADER, "")) if request else ""
	if meant not in ("", learner, frappe.session.user):
		frappe.throw(_("Another learner has signed in."), frappe.PermissionError)


def is_manager() -> bool:
	"""Says whether the signed-in user is a manager."""
	return bool({*MANAGER_ROLES} & {*frappe.get_roles()})


def require_manager() -> None:
	"""Raises PermissionError unless the signed-in user is a manager."""
	if not is_manager():
		frappe.throw(
			quoting(_("This is for {0} and {1} only."), *map(_, MANAGER_ROLES)),
			frappe.PermissionError,
		)


def require_monitor() -> None:
	"""Raises PermissionError unless the user is a manager or the account of a monitoring system."""
	if MONITOR_ROLE not in frappe.get_roles():
		require_manager()


def check_rate_limit(user: str) -> bool:
	"""Says whether a user, named by e-mail or id, may read now in Safe Mode. If so, counts the reading.

	In the same request get_reviews_safe_mode then gives her the reading, which is counted once.
	"""
	return SafeModeManager().admit_next_read(learners.identify(user))


@contextmanager
def refusals_in_html() -> Iterator[None]:
	"""Refuses a client that asks for HTML with werkzeug's page for status 429: Frappe has no such page."""
	try:
		yield
	except RateLimitExceeded as error:
		if gets_json():
			raise
		raise TooManyRequests(str(error), retry_after=frappe.flags.retry_after_seconds) from error


def start_clock() -> None:
	"""Frappe's hook before_request: notes when the request began."""
	frappe.flags.memora_began = time.perf_counter()


def keep_code_private() -> None:
	"""Frappe's hook before_request: no refusal by one of Memora's endpoints shows a stack trace."""
	if is_own(frappe.local.request):
		frappe.flags.disable_traceback = True


def name_unreadable_body(response: Response | None, request: Request) -> None:
	"""At the end of a request: answers 400 InvalidBody where Frappe could not read what an endpoint was sent.

	Frappe reads a body before it asks any hook, and then answers 417, or 500 before version 16. Of Memora's own endpoints
	only; a client that prefers HTML keeps Frappe's page.
	"""
	if response and _is_refused_by_frappe(response, request) and response.status_code in (417, 500):
		if not _can_frappe_read(request):
			_answer(response, InvalidBody, _("The body must be a JSON object."))


def name_maintenance(response: Response | None, request: Request) -> None:
	"""At the end of a request: answers 503 DatabaseUnavailable where Frappe refuses all requests during maintenance.

	Frappe does so before it asks any hook, and does not say when to try again. In place of the learner's page it shows one of
	its own, with the status 200 in versions before 16.
	"""
	conf = frappe.conf
	if not response or not conf.maintenance_mode or conf.allow_reads_during_maintenance:
		return
	if _is_refused_by_frappe(response, request):
		_answer(response, DatabaseUnavailable, _("The site is being updated. Try again in a moment."))
	if is_own(request) or request.path.rstrip("/") == PAGE:
		response.status_code = DatabaseUnavailable.http_status_code
		response.headers["Retry-After"] = str(MAINTENANCE_SECONDS)


def _is_refused_by_frappe(response: Response, request: Request) -> bool:
	"""Says whether Frappe has refused a request to an endpoint in JSON, before it asked any hook."""
	is_asked = frappe.flags.memora_began is not None
	return not is_asked and response.is_json and bool(OWN_PATH.match(request.path))


def _can_frappe_read(request: Request) -> bool:
	from frappe.app import make_form_dict  # slow to import, and imported wherever there is a request

	try:
		make_form_dict(request)
	except (ValueError, RecursionError, frappe.ValidationError):
		return False
	return True


def _answer(response: Response, kind: type[MemoraError], text: str) -> None:
	"""Puts an error in the place of Frappe's."""
	frappe.clear_messages()
	frappe.local.error_log, frappe.local.response = [], frappe._dict(docs=[])
	frappe.flags.disable_traceback = True
	try:
		frappe.throw(quoting("{0}", text), kind)
	except kind as error:
		response.set_data(report_error(error.http_status_code).get_data())
		response.status_code = error.http_status_code


def observe_latency(response: Response | None, request: Request) -> None:
	"""At the end of a request: counts how long the learners' endpoints take, and notes that the site is in use."""
	endpoint = latency.ENDPOINTS.get(request.path.rpartition("/")[2])
	began = frappe.flags.memora_began
	if endpoint and began:
		code = response.status_code if response else 500
		latency.observe(endpoint, code, time.perf_counter() - began)
		if code < 500:  # or MariaDB may be what fails
			hosts.note_if_due()
			awake.keep_awake()


def set_retry_after(response: Response | None, request: Request) -> None:
	"""At the end of a request: tells a refused client in how many seconds to come back."""
	if response and (seconds := frappe.flags.retry_after_seconds):
		response.headers["Retry-After"] = str(seconds)


def tell_of_incident(response: Response | None, request: Request) -> None:
	"""At the end of a request: tells managers if this request has found that Redis is down."""
	if frappe.flags.memora_incident_noted and getattr(frappe.local, "db", None):
		_tell(incidents.tell)


def tell_of_clock(response: Response | None, request: Request) -> None:
	"""At the end of a request: tells managers if the clock of this host is off, unless they know."""
	if is_own(request) and getattr(frappe.local, "db", None) and clocks.is_to_look():
		_tell(clocks.watch)


def _tell(tell: Callable[[], None]) -> None:
	frappe.db.rollback()  # everything to be kept is committed by now
	try:
		tell()
	finally:
		frappe.db.rollback()  # Frappe 16 commits after the hooks, also what an error has left half done


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_safe_mode() -> OpenIncident | None:
	"""Returns the Safe Mode Incident that is going on. Without an incident the reply has no `message`."""
	require_manager()
	return incidents.get_open()
