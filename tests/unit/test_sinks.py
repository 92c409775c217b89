"""Nothing becomes HTML that somebody typed: every place in the source where a text does has been looked at."""

import ast

import pytest

from memora.exceptions import quoting
from tests.unit.house import PROJECT, Module, module_name
from tests.unit.sinks import find_raw_markup, find_raw_messages


@pytest.fixture(scope="module")
def house() -> list[Module]:
	paths = sorted((PROJECT / "memora").rglob("*.py"))
	return [Module(module_name(path), path.read_text(encoding="utf-8")) for path in paths]


def test_messages_quote_what_they_show(house):
	assert find_raw_messages(house) == []


def scripts() -> dict[str, str]:
	"""Returns {path: source} of the JavaScript for the desk and for learners, without what `bench build` makes of it."""
	paths = sorted(path for path in (PROJECT / "memora").rglob("*.js") if "dist" not in path.parts)
	return {str(path.relative_to(PROJECT / "memora")): path.read_text(encoding="utf-8") for path in paths}


def test_markup_of_scripts_holds_only_what_is_escaped():
	assert find_raw_markup(scripts()) == []


@pytest.mark.parametrize(
	"source",
	[
		"frappe.throw(_('no {0}').format(name), Error)",
		"frappe.throw(f'no {name}')",
		"frappe.throw(message)",
		"frappe.throw('no ' + name)",
		"frappe.msgprint(_('no {0}').format(len(rows), name), alert=True)",
		"_refuse(_('no {0}').format(name))",
	],
)
def test_a_raw_message_is_found(source):
	assert find_raw_messages([Module("memora.wrong", source)])


@pytest.mark.parametrize(
	"source",
	[
		"frappe.throw(_('no'), Error)",
		"frappe.throw(quoting(_('no {0}'), name))",
		"frappe.throw(_('at most {0}, not {1}').format(MAX_ROWS, len(rows)))",
		"def _refuse(message):\n\tfrappe.throw(message, Error)",
	],
)
def test_what_is_escaped_is_let_through(source):
	assert ast.parse(source)
	assert find_raw_messages([Module("memora.right", source)]) == []


@pytest.mark.parametrize(
	"source",
	[
		"place.innerHTML = text;",
		"$(place).html(text);",
		"$(place).append(`<b>${name}</b>`);",
		"frappe.msgprint(error);",
		"frappe.show_alert({ message: error });",
		"frm.set_intro(doc.error);",
		"frm.dashboard.set_headline(doc.error);",
		"const cell = `<td>${doc.name}</td>`;",
		"frappe.msgprint(__('no {0}', [name]));",
		"const row = { formatter: (value) => value };",
	],
)
def test_raw_markup_is_found(source):
	assert find_raw_markup({"wrong.js": source})


@pytest.mark.parametrize(
	"source",
	[
		"place.replaceChildren(text);",
		"$(place).html(`<b>${escaped(name)}</b>`);",
		"frappe.msgprint(frappe.utils.escape_html(error));",
		'frappe.msgprint(__("No season is active."));',
		"const cell = `<td>${frappe.utils.escape_html(text)}</td>`;",
	],
)
def test_escaped_markup_is_let_through(source):
	assert find_raw_markup({"right.js": source}) == []


def test_what_a_message_quotes_is_text():
	assert quoting("no {0} of <b>{1}</b>", "<img src=x>", 2) == "no &lt;img src=x&gt; of <b>2</b>"
