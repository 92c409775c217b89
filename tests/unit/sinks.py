"""Where a text becomes HTML, read off the source: messages of Python, and markup that JavaScript of the desk makes.

Frappe shows what frappe.throw and frappe.msgprint are given as HTML. A message that quotes a value does so by
exceptions.quoting, which escapes it. In JavaScript the value stands in escape_html, or is made of nothing that anybody
typed.
"""

import ast
import re
from collections.abc import Iterator

from tests.unit.house import Module

SHOWN_AS_HTML = {"throw", "msgprint", "_refuse"}
# Their results hold nothing that a person typed, or are escaped
HARMLESS_CALLS = {"_", "ceil", "len", "quoting", "seconds_left"}
# Made and escaped in one place of its own; memora/exceptions.py passes on what its callers give, which is looked at here
OTHERS = re.compile(r"memora\.(services\.anki\.|memora\.doctype\.anki_import\.|exceptions$)")
MARKUP_SINKS = re.compile(
	r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|srcdoc"
)


def find_raw_messages(house: list[Module]) -> list[str]:
	"""Returns the calls of frappe.throw and frappe.msgprint whose text may hold a value that is not escaped."""
	return [
		f"{module.name}:{call.lineno}: {ast.unparse(call)[:100]}"
		for module in house
		if not OTHERS.match(module.name)
		for call in _calls(module.tree)
		if call.args and not _is_harmless(call.args[0])
	]


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
	"""Yields the calls that show their first argument as HTML, but for that of a helper which passes on its own."""
	passed_on = {
		id(call)
		for helper in ast.walk(tree)
		if isinstance(helper, ast.FunctionDef) and helper.name in SHOWN_AS_HTML
		for call in ast.walk(helper)
	}
	for node in ast.walk(tree):
		if isinstance(node, ast.Call) and id(node) not in passed_on and _name_of(node) in SHOWN_AS_HTML:
			yield node


def _name_of(call: ast.Call) -> str:
	return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _is_harmless(node: ast.expr) -> bool:
	if isinstance(node, ast.Constant):
		return True
	if isinstance(node, ast.Name):
		return node.id.isupper()
	if isinstance(node, ast.IfExp):
		return _is_harmless(node.body) and _is_harmless(node.orelse)
	if isinstance(node, ast.BinOp):
		return _is_harmless(node.left) and _is_harmless(node.right)
	if not isinstance(node, ast.Call):
		return False
	name = _name_of(node)
	if name == "format" and isinstance(node.func, ast.Attribute):
		return _is_harmless(node.func.value) and all(map(_is_harmless, node.args)) and not node.keywords
	return name in HARMLESS_CALLS


# JavaScript

# What these are given becomes HTML: jQuery's methods, the desk's, and properties of elements
PROPERTY = re.compile(r"\.(?:innerHTML|outerHTML|srcdoc)\s*\+?=(?!=)\s*([^;\n]+)")
METHOD = re.compile(
	r"(?:insertAdjacentHTML|createContextualFragment|document\.write|\bmsgprint|show_alert|set_intro|set_headline\w*"
	r"|add_section|add_custom_button|(?<!function )\bshow_progress|frappe\.(?:confirm|warn|throw))\(([^\n]*)"
)
JQUERY = re.compile(r"\.(?:html|append|appendTo|prepend|before|after|replaceWith)\(([^\n]*)")
FORMATTER = re.compile(r"\b(formatter\s*[:(=][^\n]*)")
TEMPLATE = re.compile(r"`(?:[^`\\]|\\.)*`", re.DOTALL)
PLACE = re.compile(r"\$\{((?:[^{}]|\{[^{}]*\})*)\}")
# escape_html and what uses it; translations without values; numbers and dates; texts
HARMLESS = re.compile(
	r"""(?:escaped|frappe\.utils\.escape_html|number|day|when|format_number|Math\.\w+)\(.*\)"""
	r"""|"[^"]*"|'[^']*'|`[^`$]*`|__\("[^"]*"(?:, null, "[^"]*")?\)""",
	re.DOTALL,
)
FIRST = re.compile(rf"(?:{HARMLESS.pattern}|\{{ message: (?:{HARMLESS.pattern}), )(?=[,;)\s]|\w)", re.DOTALL)
# The learner's page makes elements, and never markup: its `append` takes nodes
PAGE = "public/js/review/"
# Looked at: made of what is harmless, in the same file
LOOKED_AT = {
	"anki_import.js": (
		'heads.join("")',
		'rows.join("")',
		"head",
		'[row.question, row.answer, row.deck].map(cell).join("")',
		'is_busy ? __("Go On") : __("Start Import"), () => call(frm, "start"));',
		"frm, frm.doc);",
		'rows.length ? table : "");',
	),
	"cache_rebuild.js": ("frm, frm.doc);", "frm, state);"),
	"game_subscription_season.js": (
		*('column(__("Partitions"), partitions(state) + dates(state))', 'column(__("Cache"), cache(state))'),
		'column(__("Archive", null, "Memora"), archived(state, frm.doc))',
		*("title", "body", "label", "value", "kind", "style", "width", "rows", "size", "html", "text"),
		"text, () => resolve(1), reject));",
		"frappe.datetime.str_to_user(value)",
		"frappe.utils.get_form_link(doctype, name)",
		'label, () => run(frm, frm.memora_state), __("Actions"));',
	),
	"game_subscription_season_list.js": ("today",),
	"memora_health.js": (  # rows, whose texts are set as texts
		"$('<div class=\"memora-health-now\">').append(memora.health_row(health), rows));",
		"",
	),
	"memora_learner.js": ("text", 'rows.join("")'),
	"player_review_log.js": (
		'__(memory.doctype), () => frappe.set_route("Form", memory.doctype, memory.name));',
		'__("Answers of This Submission ({0})", [submission_answers]), () =>',
	),
	"srs_write_job_list.js": ('{ message: __("{0} queued again", [queued]), indicator: "green" });',),
	"moved_dates.js": ("message, resolve, refuse);",),
	"memory.js": (
		*(
			'__("The last {0} answers.", [history.length])',
			"note",
			"table(history)",
			'rows.join("")',
			"url",
			"recall",
			"t",
		),
		'titles.map((t) => `<th>${t}</th>`).join("")',
		"frappe.datetime.str_to_user(answer.reviewed_at)",
		'COLORS[answer.rating] || "gray"',
	),
}


def find_raw_markup(scripts: dict[str, str]) -> list[str]:
	"""Returns the places of scripts where a value becomes HTML that is neither escaped nor listed as looked at."""
	return [
		f"{path}: {value}"
		for path, source in scripts.items()
		for value in _values(path, source)
		if value not in LOOKED_AT.get(path.rpartition("/")[2], ())
	]


def _values(path: str, source: str) -> Iterator[str]:
	sinks = (PROPERTY, METHOD, FORMATTER) if path.startswith(PAGE) else (PROPERTY, METHOD, FORMATTER, JQUERY)
	for sink in sinks:
		for match in sink.finditer(source):
			value = match[1].strip()
			if not FIRST.match(value) and not value.startswith("`"):  # a template is looked at below
				yield value
	for template in TEMPLATE.finditer(source):
		if "<" in template[0]:
			yield from (m[1] for m in PLACE.finditer(template[0]) if not HARMLESS.fullmatch(m[1]))
