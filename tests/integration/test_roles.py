"""The table of docs/roles.md: what each kind of user may do with each DocType, by each of Frappe's own ways in.

test_permissions.py tries REST and the forms; here are the ways that Frappe has for everything: lists, counts, charts,
exports, mails, prints, tags.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import frappe
import pytest
import requests
from frappe.permissions import (
	add_permission,
	get_role_permissions,
	reset_perms,
	rights,
	update_permission_property,
)

from tests.integration.client import Client
from tests.integration.documents import SINGLES, content, make_document
from tests.integration.factories import Learner, make_learner

AUTHOR = "Author of the Tests"  # a role of the school's own
USERS = {
	"guest": None,
	"learner": [],  # tried with what is her own
	"other": [],
	"author": [AUTHOR],
	"monitor": ["Memora Monitor"],
	"manager": ["Memora Manager"],
	"system": ["System Manager"],
	"both": ["Memora Manager", "System Manager"],
}

LOOK = {"read", "report"}
OUT = {"export", "print", "email", "share"}  # what leaves the desk
EDIT = {"read", "report", "write", "create", "delete"}

# (managers, System Managers). Who is both has both. All others have nothing, but for MORE.
PUPILS = (LOOK, LOOK | OUT)
FIGURES = (LOOK | OUT, LOOK | OUT)
COUNTS = (LOOK, LOOK)
BANK = (EDIT | OUT | {"import"}, EDIT | OUT | {"import"})
TABLE: dict[str, tuple[set[str], set[str]]] = {
	"Activity Count": COUNTS,
	"Anki Import": (EDIT, EDIT | OUT),
	"Archived Memory Tracker": PUPILS,
	"Cache Rebuild": FIGURES,
	"Cache Reconciliation": FIGURES,
	"Daily Activity": FIGURES,
	"Daily Learner": COUNTS,
	"Due Forecast": FIGURES,
	"Game Question": BANK,
	"Game Subject": BANK,
	"Game Subscription Season": (EDIT | OUT, EDIT | OUT),
	"Game Topic": BANK,
	"Memora Erasure": FIGURES,
	"Memora Former Address": COUNTS,
	"Question Status": COUNTS,
	"Memora Health": FIGURES,
	"Memora Host": COUNTS,
	"Memora Learner": PUPILS,
	"Memora Settings": (LOOK | OUT | {"write"}, LOOK | OUT | {"write", "create"}),
	"Player Memory Tracker": PUPILS,
	"Player Review Log": PUPILS,
	"Review Outbox": PUPILS,
	"SRS Write Job": ({"read"}, {"read"}),
	"Safe Mode Admission": COUNTS,
	"Outdated Schedule": COUNTS,
	"Safe Mode Incident": FIGURES,
}
MORE = {
	("monitor", "Memora Health"): {"read"},
	("author", "Game Question"): {"read", "write", "create"},
}


def expected(user: str, doctype: str) -> set[str]:
	manager, system = TABLE[doctype]
	found = {"manager": manager, "system": system, "both": manager | system}.get(user, set())
	return found | MORE.get((user, doctype), set())


@pytest.fixture(scope="module", autouse=True)
def author(site) -> Iterator[None]:
	frappe.get_doc({"doctype": "Role", "role_name": AUTHOR, "desk_access": 1}).insert()
	add_permission("Game Question", AUTHOR)
	for right in rights:
		given = right in MORE["author", "Game Question"]
		update_permission_property("Game Question", AUTHOR, 0, right, int(given), validate=False)
	frappe.db.commit()
	yield
	frappe.db.rollback()
	reset_perms("Game Question")
	frappe.delete_doc("Role", AUTHOR, force=True)
	frappe.db.commit()
	frappe.clear_cache(doctype="Game Question")  # a web process may have cached it before the commit


@pytest.fixture(params=USERS)
def user(request) -> str:
	return request.param


@pytest.fixture
def account(user) -> Learner | None:
	roles = USERS[user]
	return None if roles is None else make_learner(roles)


@pytest.fixture
def caller(account, web) -> Client:
	return Client(web.url, account and account.token)


def test_the_table_has_every_doctype():
	assert {*frappe.get_all("DocType", {"module": "Memora", "istable": 0}, pluck="name")} == {*TABLE}


def test_each_cell(user, account):
	"""What Frappe takes for a user's rights is what the table says, neither less nor more."""
	name = account.user if account else "Guest"
	wrong = {}
	for doctype in TABLE:
		found = get_role_permissions(frappe.get_meta(doctype), user=name)
		cell = {right for right in rights if found.get(right)}
		if not frappe.get_meta(doctype).allow_import:
			cell.discard("import")
		if cell != expected(user, doctype):
			wrong[doctype] = (sorted(cell), sorted(expected(user, doctype)))
	assert wrong == {}


# Frappe's ways in: of each right (method, arguments). DOCTYPE and NAME stand for those of a document.

CHART = {"document_type": "DOCTYPE", "chart_type": "Count", "filters_json": "[]", "timespan": "Last Year"}
HEATMAP = {**CHART, "type": "Heatmap", "based_on": "creation"}
CARD = {"document_type": "DOCTYPE", "function": "Count"}
FIELDS = '["name"]'
DOORS: dict[str, list[tuple[str, dict[str, Any]]]] = {
	"read": [
		("frappe.client.get_count", {"doctype": "DOCTYPE"}),
		("frappe.client.get_list", {"doctype": "DOCTYPE"}),
		("frappe.client.get_value", {"doctype": "DOCTYPE", "fieldname": "name", "filters": "NAME"}),
		("frappe.client.get_doc_permissions", {"doctype": "DOCTYPE", "docname": "NAME"}),
		("frappe.client.has_permission", {"doctype": "DOCTYPE", "docname": "NAME"}),
		("frappe.desk.reportview.get", {"doctype": "DOCTYPE", "fields": FIELDS}),
		("frappe.desk.reportview.get_list", {"doctype": "DOCTYPE", "fields": FIELDS}),
		("frappe.desk.reportview.get_count", {"doctype": "DOCTYPE", "fields": FIELDS, "filters": "[]"}),
		("frappe.desk.reportview.get_stats", {"doctype": "DOCTYPE", "stats": FIELDS}),
		("frappe.desk.reportview.get_sidebar_stats", {"doctype": "DOCTYPE", "stats": FIELDS}),
		("frappe.desk.search.search_link", {"doctype": "DOCTYPE", "txt": ""}),
		("frappe.desk.search.search_widget", {"doctype": "DOCTYPE", "txt": ""}),
		(
			"frappe.desk.listview.get_group_by_count",
			{"doctype": "DOCTYPE", "current_filters": "[]", "field": "name"},
		),
		("frappe.desk.form.load.get_docinfo", {"doctype": "DOCTYPE", "name": "NAME"}),
		("frappe.desk.form.linked_with.get", {"doctype": "DOCTYPE", "docname": "NAME"}),
		("frappe.desk.doctype.tag.tag.get_tagged_docs", {"doctype": "DOCTYPE", "tag": "%"}),
		("frappe.desk.doctype.dashboard_chart.dashboard_chart.get", {"chart": HEATMAP}),
		("frappe.desk.doctype.number_card.number_card.get_result", {"doc": CARD, "filters": "[]"}),
	],
	"write": [
		("frappe.desk.doctype.tag.tag.add_tag", {"tag": "tried", "dt": "DOCTYPE", "dn": "NAME"}),
		("frappe.desk.doctype.tag.tag.add_tags", {"tags": ["tried"], "dt": "DOCTYPE", "docs": ["NAME"]}),
		("frappe.desk.doctype.tag.tag.remove_tag", {"tag": "tried", "dt": "DOCTYPE", "dn": "NAME"}),
		("frappe.desk.like.toggle_like", {"doctype": "DOCTYPE", "name": "NAME", "add": "Yes"}),
	],
	"export": [
		(
			"frappe.desk.reportview.export_query",
			{
				"doctype": "DOCTYPE",
				"fields": FIELDS,
				"file_format_type": "CSV",
				"title": "t",
				"filters": "[]",
			},
		),
		(
			"frappe.core.doctype.data_import.data_import.download_template",
			{"doctype": "DOCTYPE", "export_fields": {"DOCTYPE": ["name"]}, "export_records": "all"},
		),
		("frappe.core.doctype.data_export.exporter.export_data", {"doctype": "DOCTYPE", "with_data": 1}),
	],
	"print": [
		("frappe.www.printview.get_html_and_style", {"doc": "DOCTYPE", "name": "NAME"}),
		(
			"frappe.utils.print_format.download_multi_pdf",
			{"doctype": "DOCTYPE", "name": '["NAME"]', "format": "x"},
		),
		(
			"frappe.utils.print_format.download_multi_pdf",
			{"doctype": '{"DOCTYPE": ["NAME"]}', "name": '["NAME"]'},
		),
	],
	"email": [
		(
			"frappe.core.doctype.communication.email.make",
			{"doctype": "DOCTYPE", "name": "NAME", "content": "c", "subject": "s"},
		),
	],
	"share": [
		("frappe.share.add", {"doctype": "DOCTYPE", "name": "NAME", "user": "Administrator"}),
	],
}
# The first needs programs that make PDF; the second needs rights on whatever DocType of the site has a link, too
TRIED_ONLY_IF_REFUSED = {"frappe.utils.print_format.download_multi_pdf", "frappe.desk.form.linked_with.get"}


def filled(value: Any, doctype: str, name: str) -> Any:
	return json.loads(json.dumps(value).replace("DOCTYPE", doctype).replace("NAME", json.dumps(name)[1:-1]))


def doors(
	caller: Client, doctype: str, name: str
) -> Iterator[tuple[str, str, Callable[[], requests.Response]]]:
	"""Yields (right, which door, what goes through it)."""
	for right, calls in DOORS.items():
		for method, arguments in calls:
			yield right, method, lambda m=method, a=arguments: caller.post(m, **filled(a, doctype, name))
	page = f"/printview?doctype={doctype}&name={name}"
	yield "print", page, lambda: caller.request("GET", page)


def without_notes(doctype: str) -> list[dict[str, Any]] | dict[str, Any]:
	"""The content without the column in which Frappe notes mails about a document."""
	found = content(doctype)
	return found if doctype in SINGLES else [{**row, "_comments": None} for row in found]


@pytest.mark.parametrize("doctype", TABLE)
def test_each_door(caller, user, account, doctype):
	"""What the table does not allow is refused with 403 and changes nothing; what it allows is not."""
	if user == "other" and TABLE[doctype] not in (PUPILS, COUNTS):
		pytest.skip("no row here is of one learner, so that another learner is what a learner is")
	name = make_document(doctype, account.name if account and user == "learner" else None)
	before, allowed = without_notes(doctype), expected(user, doctype)
	wrong = []
	for right, door, call in doors(caller, doctype, name):
		if right in allowed and door in TRIED_ONLY_IF_REFUSED:
			continue
		response = call()
		# the oldest Frappe answers a page that it refuses with 200
		is_refused = response.status_code == 403 or "Not Permitted" in response.text
		if is_refused != (right not in allowed):
			wrong.append((right, door, response.status_code, response.text[:300]))
	assert wrong == []
	if "write" not in allowed:
		assert without_notes(doctype) == before


def test_the_singles_are_tried_as_such():
	assert {doctype for doctype in TABLE if frappe.get_meta(doctype).issingle} == {*SINGLES}
