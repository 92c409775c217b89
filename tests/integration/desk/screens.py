"""All screens on which the desk shows Memora's data, and a look for marks that have become more than text on one of them.

The screens are found by DocType, report, page and workspace: a new one is looked at by itself.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import frappe
from frappe.model.utils import user_settings
from playwright.sync_api import BrowserContext, Error, Frame, Page, Route

import memora
from tests.integration import marks
from tests.integration.marks import FAR_CALL, FIELDS, SITE_CALL, TEXTS

MODULE = {"module": "Memora"}
NUMBER = re.compile(r"(?:memora-mark-|mark\.example/)(\d+)")
ROWS = 4  # of one DocType that a form is opened of

# Goes to a screen and waits until the desk is at rest.
GO = """async ([route, options]) => {
	frappe.route_options = options;
	await frappe.set_route(route);
	await new Promise(done => frappe.after_ajax(done));
	await new Promise(done => requestIdleCallback(done, {timeout: 1000}));
}"""

# Returns [what, the number in the mark, whether it stands where a question's HTML is shown] of each mark that has become an
# element, part of an element, or an address, and that was not found before.
LOOK = r"""([site, far]) => {
	const ADDRESSES = ["src", "href", "action", "data", "poster", "srcset", "background", "formaction", "xlink:href"];
	const leads_away = (value) => {
		if (/^\s*javascript:/i.test(value)) return true;
		if (!value.includes(site) && !value.includes(far)) return false;
		try {
			const url = new URL(value, location);
			return url.href.startsWith(far) || url.pathname.startsWith(site);
		} catch {
			return false;
		}
	};
	const found = new Map();
	const note = (element, what, text) => {
		const number = /(?:ran\(|memora-mark-|mark\.example\/)(\d+)/.exec(text);
		if (!number) return;
		const as_html = ["B", "A"].includes(element.tagName) && !!element.closest(".ql-editor, .print-format, article.card, .answer-area");
		const one = [what, Number(number[1]), as_html];
		found.set(one.join(), one);
	};
	window.looked_at ??= new WeakSet();
	for (const element of document.querySelectorAll("*")) {
		if (window.looked_at.has(element)) continue;
		window.looked_at.add(element);
		const tag = element.localName;
		for (const { name, value } of element.attributes) {
			if (name.startsWith("on") && /^.?ran\(/.test(value)) note(element, `<${tag} ${name}>`, value);
			else if (name === "title" && /^memora-mark-\d+$/.test(value)) note(element, `<${tag}>`, value);
			else if (ADDRESSES.includes(name) && leads_away(value)) note(element, `<${tag} ${name}>`, value);
		}
		if (["style", "script"].includes(tag) && /^(ran\(\d+\)|@import)/.test(element.textContent))
			note(element, `<${tag}>`, element.textContent);
	}
	return [...found.values()];
}"""


class Watch:
	"""Finds the marks that run, call an address or become an element, with the screen that is open."""

	def __init__(self, context: BrowserContext) -> None:
		self.screen, self.found = "", list[str]()
		context.expose_binding("mark_ran", lambda _source, number: self._note(number, "runs"))
		context.add_init_script("window.ran = number => mark_ran(number)")
		context.route("**/socket.io/*", lambda route: route.abort())  # no such server runs beside the tests
		context.route(lambda url: FAR_CALL in url or SITE_CALL in url, self._stop)

	def _stop(self, route: Route) -> None:
		for number in NUMBER.findall(route.request.url)[:1]:
			self._note(int(number), f"asks for {route.request.url}")
		with suppress(Error):  # the page has been left meanwhile
			route.abort()

	def _note(self, number: int, what: str) -> None:
		name, kind, _shows_html = FIELDS[number]
		self.found.append(f"{self.screen}: {kind} in {name} {what}")

	def look(self, where: Page | Frame) -> None:
		for what, number, as_html in where.evaluate(LOOK, [SITE_CALL, FAR_CALL]):
			if not (as_html and FIELDS[number].shows_html):
				self._note(number, f"becomes {what}")

	def visit(self, page: Page, screen: str, open_it: Callable[[], object]) -> None:
		self.screen = screen
		open_it()
		self.look(page)

	def result(self) -> str:
		return "\n".join(dict.fromkeys(self.found))


# Which screens there are


def doctypes() -> list[str]:
	return sorted(frappe.get_all("DocType", {**MODULE, "istable": 0, "issingle": 0}, pluck="name"))


def routes(forms: Iterable[tuple[str, str]]) -> Iterator[list[str]]:
	"""Yields the desk's routes of all lists, Report Views, reports, pages and workspaces, and of these forms."""
	for doctype in doctypes():
		yield ["List", doctype, "List"]
		if not frappe.get_meta(doctype).is_virtual:
			yield ["List", doctype, "Report"]
	yield from (["Form", doctype, name] for doctype, name in forms)
	yield from (["query-report", name] for name in frappe.get_all("Report", MODULE, pluck="name"))
	yield from ([name] for name in frappe.get_all("Page", MODULE, pluck="name"))
	yield from (["Workspaces", name] for name in frappe.get_all("Workspace", MODULE, pluck="name"))


def forms() -> list[tuple[str, str]]:
	"""Returns (DocType, name) of singles, and of rows that hold a mark: of each field and kind of mark one row."""
	singles = frappe.get_all("DocType", {**MODULE, "issingle": 1}, pluck="name")
	found = [(doctype, doctype) for doctype in sorted(singles)]
	for doctype in doctypes():
		if not frappe.get_meta(doctype).is_virtual:
			found += [(doctype, name) for name in _marked_rows(doctype)]
	return found


def _marked_rows(doctype: str) -> list[str]:
	seen, names = set[Any](), []
	rows = frappe.get_all(doctype, fields=["*"], order_by="creation desc", limit=1000)
	for row in rows:
		texts = {(field, text[:20]) for field, text in row.items() if marks.holds_mark(text)}
		if len(names) < ROWS and (texts - seen or not names):  # at least one
			seen |= texts
			names.append(row.name)
	return names


def show_all_columns(user: str) -> None:
	"""Has each Report View show all fields, those of tables too."""
	frappe.set_user(user)
	for doctype in doctypes():
		meta = frappe.get_meta(doctype)
		parts = [doctype, *(field.options for field in meta.get_table_fields())]
		fields = [
			[f.fieldname, part]
			for part in parts
			for f in frappe.get_meta(part).fields
			if f.fieldtype in SHOWN
		]
		settings = {"Report": {"fields": [["name", doctype], *fields]}}
		user_settings.save(doctype, json.dumps(settings))
	frappe.set_user("Administrator")


SHOWN = (*TEXTS, "Link", "Select")


def pages() -> list[str]:
	"""Returns the addresses of the app's pages outside the desk."""
	folder = Path(memora.__file__).parent / "www"
	return [
		f"/{path.relative_to(folder).with_suffix('').as_posix()}" for path in sorted(folder.rglob("*.html"))
	]


# Opening them


def open_desk(page: Page, watch: Watch) -> None:
	found = forms()
	page.goto("/app/memora")
	page.wait_for_load_state("networkidle")
	for route in routes(found):
		options = {"ignore_prepared_report": 1} if route[0] == "query-report" else None
		watch.visit(page, " ".join(route), lambda r=route, o=options: page.evaluate(GO, [r, o]))
	print_forms(page, watch, found)


def print_forms(page: Page, watch: Watch, found: Iterable[tuple[str, str]]) -> None:
	"""Opens the print views, all at once, in frames of one page."""
	kept = [(doctype, name) for doctype, name in found if _is_printed(doctype)]
	addresses = [f"/printview?doctype={quote(doctype)}&name={quote(name, safe='')}" for doctype, name in kept]
	page.goto("/api/method/ping")
	watch.visit(page, "Print", lambda: page.evaluate(OPEN_FRAMES, addresses))
	assert len(page.frames) == 1 + len(kept)
	for (doctype, name), frame in zip(kept, page.main_frame.child_frames, strict=True):
		frame.locator(".print-format").first.wait_for(state="attached")
		watch.screen = f"Print {doctype} {name}"
		watch.look(frame)


def _is_printed(doctype: str) -> bool:
	meta = frappe.get_meta(doctype)
	return not meta.issingle and any(permission.print for permission in meta.permissions)


OPEN_FRAMES = """addresses => Promise.all(addresses.map(address => {
	const frame = document.createElement("iframe");
	const loaded = new Promise(done => frame.addEventListener("load", done));
	frame.src = address;
	document.body.append(frame);
	return loaded;
}))"""


def show_messages(page: Page, watch: Watch, texts: Iterable[str]) -> None:
	"""Has the desk say what the server said."""
	page.goto("/app/memora")
	page.wait_for_load_state("networkidle")
	show = "texts => texts.forEach(text => { frappe.msgprint(text); frappe.show_alert(text); })"
	watch.visit(page, "Message", lambda: page.evaluate(show, sorted(texts)))
	page.wait_for_load_state("networkidle")
	watch.look(page)
