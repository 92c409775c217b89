"""Each kind of user may do what she may with each DocType, endpoint, report and page, by every way in.

The tables say what is allowed. All else is tried as well, is refused with 403, and changes nothing.
"""

import inspect
import json
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pkgutil import walk_packages
from typing import Any
from urllib.parse import quote

import frappe
import pytest
import requests
from frappe.model.base_document import get_controller

import memora
from tests.frappe_versions import DESK, HAS_SECOND_API
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.documents import SINGLES, content, make_document, new_values
from tests.integration.factories import STANDING_SEASON, bank_questions, make_learner, make_records

USERS = {
	"guest": None,
	"learner": [],
	"monitor": ["Memora Monitor"],
	"manager": ["Memora Manager"],
	"system": ["System Manager"],
}
LOOK, ALL = ("list", "read"), ("list", "read", "create", "write", "delete")

# What managers and System Managers may do with a DocType. Others may do nothing, but for MONITOR below.
DOCTYPES = {
	"Activity Count": LOOK,
	"Anki Import": ALL,
	"Archived Memory Tracker": LOOK,
	"Cache Rebuild": LOOK,
	"Cache Reconciliation": LOOK,
	"Daily Activity": LOOK,
	"Daily Learner": LOOK,
	"Due Forecast": LOOK,
	"Game Question": ALL,
	"Game Subject": ALL,
	"Game Subscription Season": ALL,
	"Game Topic": ALL,
	"Memora Erasure": LOOK,
	"Memora Former Address": LOOK,
	"Question Status": LOOK,
	"Memora Health": ("read",),
	"Memora Host": LOOK,
	"Memora Learner": LOOK,
	"Memora Settings": ("read", "write"),
	"Player Memory Tracker": LOOK,
	"Player Review Log": LOOK,
	"Review Outbox": LOOK,
	"SRS Write Job": LOOK,
	"Safe Mode Admission": LOOK,
	"Outdated Schedule": LOOK,
	"Safe Mode Incident": LOOK,
}
MONITOR = {"Memora Health": ("read",)}
# Who may call the methods of its documents, where managers may not
MAY_CALL = {"Memora Learner": ("system",)}
# Of fields that are changed
VALUES = {
	"description": "New",
	"file": "/files/other.apkg",
	"new_per_day": 7,
	"question": "New?",
	"auto_archive": 1,
	"position": 7,
}

# Of all functions that can be called over HTTP, those that others than managers may call.
FOR_LEARNERS = {
	"memora.api.reviews.get_persistence_status",
	"memora.api.reviews.get_review_session",
	"memora.api.reviews.get_reviews_safe_mode",
	"memora.api.reviews.submit_review_session",
	"memora.api.sessions.get_lesson_session",
	"memora.api.sessions.submit_lesson_session",
}
FOR_MONITORS = {"memora.api.srs.get_health", "memora.api.srs.get_metrics"}


@pytest.fixture(params=USERS)
def user(request) -> str:
	return request.param


@pytest.fixture
def caller(user, web) -> Client:
	roles = USERS[user]
	return Client(web.url, None if roles is None else make_learner(roles).token)


# DocTypes


def test_the_table_has_every_doctype():
	own = frappe.get_all("DocType", {"module": "Memora", "istable": 0}, pluck="name")
	assert {*own} == {*DOCTYPES}


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_doctypes(caller, user, doctype):
	allowed = DOCTYPES[doctype] if user in ("manager", "system") else MONITOR.get(doctype, ())
	if user in ("guest", "learner"):
		allowed = ()
	actions = ("read", "write") if doctype in SINGLES else ALL
	name = make_document(doctype)
	before = content(doctype)
	for action in actions:
		if action not in allowed:
			for way in ways(caller, doctype, action):
				response = way(name)
				assert response.status_code == 403, (action, response.text)
	assert content(doctype) == before
	for action in allowed:
		for way in ways(caller, doctype, action):
			response = way(make_document(doctype) if action == "delete" else name)
			assert response.status_code in (200, 202), (action, response.text)


def ways(caller: Client, doctype: str, action: str) -> Iterator[Callable[[str], requests.Response]]:
	"""Each takes a document's name: by REST in both its versions, by Frappe's own methods, as the desk calls them."""
	field, value = change_of(doctype)
	one = {"doctype": doctype}
	columns = {**one, "fields": json.dumps(["name"]), "view": "List"}
	yield from (partial(by_rest, caller, base, doctype, action) for base in rest_bases())
	yield from {
		"list": [
			lambda name: caller.get("frappe.client.get_list", **one),
			lambda name: caller.post("frappe.desk.reportview.get", **columns),
		],
		"read": [
			lambda name: caller.get("frappe.client.get", **one, name=name),
			lambda name: caller.get("frappe.desk.form.load.getdoc", **one, name=name),
		],
		"create": [lambda name: caller.post("frappe.client.insert", doc={**one, **new_values(doctype)})],
		"write": [
			lambda name: caller.post(
				"frappe.client.set_value", **one, name=name, fieldname=field, value=value
			)
		],
		"delete": [lambda name: caller.post("frappe.client.delete", **one, name=name)],
	}[action]


def rest_bases() -> list[str]:
	return ["/api/resource", "/api/v2/document"] if HAS_SECOND_API else ["/api/resource"]


def by_rest(caller: Client, base: str, doctype: str, action: str, name: str) -> requests.Response:
	of_type, of_one = f"{base}/{quote(doctype)}", f"{base}/{quote(doctype)}/{quote(name, safe='')}"
	of_one += "/" if "v2" in base else ""
	field, value = change_of(doctype)
	return {
		"list": lambda: caller.request("GET", of_type),
		"read": lambda: caller.request("GET", of_one),
		"create": lambda: caller.request("POST", of_type, json=new_values(doctype)),
		"write": lambda: caller.request("PUT", of_one, json={field: value}),
		"delete": lambda: caller.request("DELETE", of_one),
	}[action]()


def change_of(doctype: str) -> tuple[str, Any]:
	"""A field to change, and the value: one of VALUES, else the first one of text or a link."""
	fields = frappe.get_meta(doctype).fields
	known = [field.fieldname for field in fields if field.fieldname in VALUES]
	texts = [field.fieldname for field in fields if field.fieldtype in ("Data", "Link", "Select", "Datetime")]
	field = [*known, *texts][0]
	return field, VALUES.get(field)


def methods_of(doctype: str) -> list[str]:
	"""Returns the methods that a form may call on a document."""
	functions = inspect.getmembers(get_controller(doctype), inspect.isfunction)
	return [name for name, function in functions if function in frappe.whitelisted and is_own(function)]


def is_own(function: Callable) -> bool:
	return function.__module__.startswith("memora.")


def test_what_forms_may_have_done(caller, user):
	"""A user who may not see a document may not call its methods."""
	tried = 0
	for doctype in DOCTYPES:
		for method in methods_of(doctype):
			name = make_document(doctype)
			response = caller.request(
				"POST", "/api/method/run_doc_method", json={"dt": doctype, "dn": name, "method": method}
			)
			is_refused = user not in MAY_CALL.get(doctype, ("manager", "system"))
			assert (response.status_code == 403) == is_refused, response.text
			tried += 1
	assert tried > 2


# Endpoints


def whitelisted() -> set[str]:
	"""The dotted path of each function of the app that can be called over HTTP."""
	names = [module.name for module in walk_packages(memora.__path__, "memora.")]
	found = set()
	for name in names:
		for function in vars(import_module(name)).values():
			if (
				inspect.isfunction(function)
				and function.__module__ == name
				and function in frappe.whitelisted
			):
				found.add(f"{name}.{function.__name__}")
	return found


def test_endpoints(caller, user):
	"""A user who may call an endpoint gets past the role: to an answer, or to a refusal of missing arguments."""
	allowed = {
		"guest": set(),
		"learner": FOR_LEARNERS,
		"monitor": FOR_MONITORS,
	}.get(user, whitelisted())
	passed = set()
	for path in whitelisted():
		for base in ("/api/method/", "/api/v2/method/")[: len(rest_bases())]:
			methods = frappe.allowed_http_methods_for_whitelisted_func[frappe.get_attr(path)]
			for verb in methods:
				response = caller.request(verb, f"{base}{path}", **({"json": {}} if verb == "POST" else {}))
				assert response.status_code < 500, response.text
				if response.status_code != 403:
					passed.add(path)
	assert passed == allowed


def test_what_is_a_learners_own(caller, user, web):
	"""Another learner may neither see it, nor be taken for her; whoever administers may look."""
	owner = make_learner()
	hers = Client(web.url, owner.token)
	make_records(owner.name, 5)
	answer = {"question_id": bank_questions()[0], "quality": 4}
	sent = message(hers.post("memora.api.reviews.submit_review_session", responses=[answer]))
	is_manager = user in ("manager", "system")
	looks = (
		caller.get("memora.api.reviews.get_persistence_status", job_id=sent["persistence_job_id"]),
		caller.get("memora.api.reviews.get_reviews_safe_mode", user=owner.name, season=STANDING_SEASON),
	)
	for look in looks:
		assert look.status_code == (200 if is_manager else 403), look.text
	before = state.journal(owner.name), state.outbox(owner.name)
	as_her = {"json": {"responses": [answer]}, "headers": {"X-Memora-Learner": quote(owner.user)}}
	path = "/api/method/memora.api.reviews.submit_review_session"
	assert caller.request("POST", path, **as_her).status_code == 403
	if user not in ("guest", "monitor"):
		submit = partial(caller.post, "memora.api.reviews.submit_review_session", responses=[answer])
		assert submit(user=owner.name).status_code == 400
		message(submit())
		read = message(caller.get("memora.api.reviews.get_review_session"))
		assert read["questions"] == []
	assert (state.journal(owner.name), state.outbox(owner.name)) == before


READERS = FOR_MONITORS | {
	"memora.api.reviews.get_persistence_status",
	"memora.api.reviews.get_review_session",
	"memora.api.reviews.get_reviews_safe_mode",
	"memora.api.sessions.get_lesson_session",
	*(
		f"memora.api.cards.{card}"
		for card in ("answers_today", "due_today", "learners_today", "oldest_unfolded_answer", "safe_mode")
	),
	"memora.api.desk.get_memory",
	"memora.api.desk.get_season_state",
	"memora.api.desk.preview_day_start_hour",
	"memora.api.desk.preview_end_date",
	*(f"memora.api.srs.{name}" for name in ("get_archive_status", "get_cache_status", "get_job_status")),
	"memora.api.utils.get_safe_mode",
	*(
		f"memora.api.data_imports.{name}"
		for name in (
			"download_errored_template",
			"download_import_log",
			"get_import_logs",
			"get_import_status",
			"get_preview_from_template",
		)
	),
	"memora.www.review.renew_token",
}


def test_only_what_reads_takes_get():
	"""A link or a picture makes a browser send GET, in the name of whoever looks at it."""
	for module in {path.rpartition(".")[0] for path in READERS}:
		import_module(module)
	verbs = frappe.allowed_http_methods_for_whitelisted_func
	takes_get = {f"{f.__module__}.{f.__name__}" for f in verbs if is_own(f) and "GET" in verbs[f]}
	assert takes_get == READERS


def test_no_endpoint_is_for_guests():
	assert {path for path in whitelisted() if frappe.get_attr(path) in frappe.guest_methods} == set()


# Reports, pages


def test_reports(caller, user):
	"""By the desk's own call; without filters, which a report may refuse, but not with 403."""
	for name in frappe.get_all("Report", {"module": "Memora"}, pluck="name"):
		response = caller.get("frappe.desk.query_report.run", report_name=name)
		assert (response.status_code != 403) == (user in ("manager", "system")), response.text


def test_pages(caller, user):
	"""Guests are sent to log in; the desk is for those who have a role in it."""
	pages = {page: caller.request("GET", page, allow_redirects=False) for page in ("/review", DESK)}
	if user == "guest":
		for response in pages.values():
			assert "/login" in response.headers.get("Location", "") or response.status_code == 403
		return
	assert pages["/review"].status_code == (403 if user == "monitor" else 200)
	status = pages[DESK].status_code
	# who comes with a token has no session that knows her user type: Frappe 16 finds out with an error
	assert status in (403, 500) if user == "learner" else status != 403, pages[DESK].text[:500]
