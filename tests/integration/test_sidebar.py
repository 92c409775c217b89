"""On a desk with icons and sidebars, as Frappe 16 has, each role gets Memora's icon and links to what she may open."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import frappe
import pytest
from frappe.desk.doctype.notification_settings.notification_settings import create_notification_settings
from frappe.permissions import add_permission, reset_perms

from tests.frappe_versions import DESK, HAS_SIDEBARS
from tests.integration.client import Client, message
from tests.integration.factories import make_learner

SIDEBAR = Path(__file__).parents[2] / "memora" / "workspace_sidebar" / "memora.json"
KINDS = ("Desktop Icon", "Workspace Sidebar")
SECTIONS = 5
BOOT = "frappe.boot = "
TEACHER = "Teacher of the Tests"

needs_sidebars = pytest.mark.skipif(
	not HAS_SIDEBARS, reason="this Frappe's desk has no icons and no sidebars of apps"
)

Target = tuple[str, str]  # the kind of what a link opens, and its name


def everything() -> set[Target]:
	doctypes = frappe.get_all("DocType", {"module": "Memora", "istable": 0}, pluck="name")
	reports = frappe.get_all("Report", {"module": "Memora"}, pluck="name")
	names = {"DocType": doctypes, "Report": reports, "Workspace": ["Memora"]}
	return {(kind, name) for kind in names for name in names[kind]}


def targets(items: list[dict[str, Any]]) -> list[Target]:
	return sorted((item["link_type"], item["link_to"]) for item in items if item["type"] == "Link")


def items_of_file() -> list[dict[str, Any]]:
	items: list[dict[str, Any]] = json.loads(SIDEBAR.read_text())["items"]
	return items


def test_the_sidebar_leads_to_every_list_form_and_report():
	assert targets(items_of_file()) == sorted(everything())


def test_a_section_is_shown_to_those_who_may_open_something_in_it():
	named: dict[str, set[str]] = {}
	for item in items_of_file():
		if item["type"] == "Section Break":
			condition = item["display_depends_on"]
			named[condition] = set()
		elif item["child"]:
			named[condition].add(item["link_to"])
	assert len(named) == SECTIONS
	for condition, links in named.items():
		assert set(condition.split('"')[1::2]) == links


def test_icon_and_sidebar_are_only_where_frappe_knows_them():
	def is_there(kind: str) -> bool:
		return bool(frappe.db.exists("DocType", kind) and frappe.db.exists(kind, {"app": "memora"}))

	assert [is_there(kind) for kind in KINDS] == [HAS_SIDEBARS, HAS_SIDEBARS]


# By role


@pytest.fixture
def teacher() -> Iterator[None]:
	"""A role of the school's own. It may read one of Memora's lists."""
	frappe.get_doc({"doctype": "Role", "role_name": TEACHER, "desk_access": 1}).insert()
	add_permission("Game Question", TEACHER)
	frappe.db.commit()
	yield
	reset_perms("Game Question")
	frappe.delete_doc("Role", TEACHER, force=True)
	frappe.db.commit()
	frappe.clear_cache(doctype="Game Question")  # a web process may have cached it before the commit


@pytest.fixture
def somebody(web) -> Callable[[str], Client]:
	def of_role(role: str) -> Client:
		account = make_learner([role])
		create_notification_settings(account.user)  # without them Frappe shows her no desk
		frappe.db.commit()
		return Client(web.url, account.token)

	return of_role


def desk_of(client: Client) -> dict[str, Any]:
	"""Returns what the desk's page tells the browser when it is opened."""
	page = client.request("GET", DESK).text
	boot: dict[str, Any] = json.JSONDecoder().raw_decode(page, page.index(BOOT) + len(BOOT))[0]
	return boot


def may_open(client: Client, kind: str, name: str) -> bool:
	if kind == "Workspace":
		shown = message(client.get("frappe.desk.desktop.get_workspace_sidebar_items"))["pages"]
		return name in [page["name"] for page in shown]
	if kind == "Report":
		response = client.post("frappe.desk.query_report.get_script", report_name=name)
	elif frappe.get_meta(name).issingle:
		response = client.get("frappe.desk.form.load.getdoc", doctype=name, name=name)
	else:
		response = client.post("frappe.desk.reportview.get", doctype=name, fields=["name"], view="List")
	assert response.status_code in (200, 403), response.text
	return response.status_code == 200


ALLOWED = {
	"Memora Manager": everything,
	"System Manager": everything,
	"Memora Monitor": lambda: {("DocType", "Memora Health")},
	TEACHER: lambda: {("DocType", "Game Question")},
	"Dashboard Manager": set,  # somebody with a role of the desk, but none of Memora's
}


@needs_sidebars
@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_gets_the_icon_and_links_to_all_that_it_may_open(somebody, teacher, role):
	client, allowed = somebody(role), ALLOWED[role]()
	desk = desk_of(client)
	assert targets(desk["workspace_sidebar_item"]["memora"]["items"]) == sorted(allowed)
	assert {target for target in everything() if may_open(client, *target)} == allowed
	icons = [icon for icon in desk["desktop_icons"] if icon["label"] == "Memora"]
	assert len(icons) == bool(allowed)


@needs_sidebars
def test_the_icon_has_its_picture(somebody):
	client = somebody("Memora Manager")
	pictures = desk_of(client)["desktop_icon_urls"]["memora"]
	for url in (*pictures["solid"], *pictures["subtle"]):
		picture = client.request("GET", f"/{url}")
		assert picture.headers["Content-Type"].startswith("image/svg+xml")
	assert [len(urls) for urls in pictures.values()] == [1, 1]


@needs_sidebars
def test_they_go_when_the_app_is_uninstalled():
	for hook in frappe.get_hooks("after_app_uninstall"):
		frappe.get_attr(hook)("memora")
	left = [kind for kind in KINDS if frappe.db.exists(kind, {"app": "memora"})]
	frappe.db.rollback()
	assert left == []
