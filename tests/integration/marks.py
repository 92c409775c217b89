"""Texts that would run or call something wherever they were shown as HTML, and every door through which texts come in.

Each mark carries the number of the field that it was written to, so that whoever finds it can say where it comes from. The
fields are found in the OpenAPI document and in the DocTypes: a new field is marked by itself.
"""

import copy
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

import frappe
from frappe.model.document import Document

from memora.services.store import failures
from tests.integration import contract
from tests.integration.client import Client

SITE_CALL, FAR_CALL = "/api/method/memora-mark-", "https://mark.example/"
LONG = (
	"m'\"><img src=x onerror=ran({n})><img src=/api/method/memora-mark-{n}><script>ran({n})</script>"
	"<b title=memora-mark-{n}>b</b>"
)
KINDS = {
	"markup": LONG,
	"short markup": "m<svg onload=ran({n})><b title=memora-mark-{n}>b</b>",
	# Frappe takes what is JSON for harmless
	"markup in JSON": '"<img src=x onerror=ran({n})><b title=memora-mark-{n}>b</b>"',
	"markup in entities": "m&lt;img src=x onerror=ran({n})&gt;",
	"address": (
		"m<img src=https://mark.example/{n}.png><a href=https://mark.example/{n}>a</a>"
		"<style>@import 'https://mark.example/{n}.css';</style><iframe src=https://mark.example/{n}></iframe>"
	),
	# For names, in which Frappe allows no < and >
	"attribute": """m" autofocus onfocus="ran({n})" x='""",
	"attribute without blanks": """m"autofocus/onfocus=ran({n})/x='""",
	"script's address": "javascript:ran({n})",
	"formula": '=HYPERLINK("https://mark.example/{n}")',
}
TEXTS = (
	"Data",
	"Small Text",
	"Text",
	"Long Text",
	"Text Editor",
	"HTML Editor",
	"Code",
	"JSON",
	"Markdown Editor",
	"Attach",
)
AS_HTML = ("Text Editor", "HTML Editor", "HTML")  # shows the elements that a question may have


class Field(NamedTuple):
	"""What somebody fills in, and with which kind of mark."""

	name: str
	kind: str
	shows_html: bool = False


FIELDS: list[Field] = []  # the number in a mark is the index of its field


def mark(name: str, kind: str, shows_html: bool = False) -> str:
	"""Returns a mark for a field. The name says to people where it was written."""
	field = Field(name, kind, shows_html)
	if field not in FIELDS:
		FIELDS.append(field)
	return KINDS[kind].replace("{n}", str(FIELDS.index(field)))


WRITTEN = tuple(kind for kind in KINDS if kind not in ("short markup", "attribute without blanks"))
SHORT_KINDS = ("short markup", "attribute", "formula")  # where each costs a request


def marks(name: str, shows_html: bool = False, kinds: Iterable[str] = KINDS) -> list[str]:
	return [mark(name, kind, shows_html) for kind in kinds]


def holds_mark(text: Any) -> bool:
	return isinstance(text, str) and bool(re.search(r"ran\(\d|memora-mark-\d|mark\.example", text))


# What learners send


def send_marks(client: Client, question_id: str) -> Iterator[str]:
	"""Sends each mark in each place of what endpoints take. Yields what the replies say to people."""
	for path, item in contract.DOCUMENT["paths"].items():
		for parameter in item.get("get", {}).get("parameters", []):
			for text in marks(f"GET {path}, {parameter['name']}", kinds=SHORT_KINDS):
				yield from _said(client.request("GET", path, params={parameter["name"]: text}))
		if "requestBody" in item.get("post", {}):
			schema = item["post"]["requestBody"]["content"]["application/json"]["schema"]
			yield from _post_marks(client, path, schema, question_id)


def _post_marks(client: Client, path: str, schema: dict[str, Any], question_id: str) -> Iterator[str]:
	for place in places(schema):
		for text in marks(f"POST {path}, {'.'.join(map(str, place))}", kinds=SHORT_KINDS):
			answer = {"question_id": question_id, "quality": 4}
			body: dict[str, Any] = {"responses": [answer], "submission_id": uuid.uuid4().hex}
			body = {name: value for name, value in body.items() if name in schema["properties"]}
			yield from _said(client.request("POST", path, json=_with(body, place, text)))


def places(schema: dict[str, Any], path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
	"""Yields the places of a body that take a value, by the schema: ("responses", 0, "question_id")."""
	schema = contract.DOCUMENT["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
	if path and not schema.get("properties") and not schema.get("items"):
		yield path
	for name, part in schema.get("properties", {}).items():
		yield from places(part, (*path, name))
	if "items" in schema:
		yield from places(schema["items"], (*path, 0))


def _with(body: dict[str, Any], place: tuple[Any, ...], text: str) -> dict[str, Any]:
	body = copy.deepcopy(body)
	inner: Any = body
	for step in place[:-1]:
		inner = inner.setdefault(step, {}) if isinstance(inner, dict) else inner[step]
	inner[place[-1]] = text
	return body


def _said(reply: Any) -> Iterator[str]:
	assert reply.status_code < 500 or reply.status_code == 503, reply.text
	for text in json.loads(reply.json().get("_server_messages") or "[]"):
		yield json.loads(text)["message"]


# What authors write


def written_by(role: str) -> list[str]:
	"""Returns Memora's DocTypes of which a role makes documents in the desk, or which it writes as settings."""
	names = frappe.get_all("DocType", {"module": "Memora", "istable": 0, "is_virtual": 0}, pluck="name")
	return [name for name in sorted(names) if _may_write(role, frappe.get_meta(name))]


def _may_write(role: str, meta: Any) -> bool:
	return any(p.role == role and (p.create or (p.write and meta.issingle)) for p in meta.permissions)


def write_marks(doctype: str, values: dict[str, Any]) -> Iterator[str]:
	"""Makes a document for each kind of mark, with the mark in each text that takes it.

	Yields what refusals say. `values` are those that a document needs besides. Commits.
	"""
	made = NAMES.setdefault(doctype, {})
	for kind in WRITTEN:
		fields = list(texts_of(doctype))
		values = {**values, **_links(doctype, kind)}
		try:
			made[kind] = _save(doctype, values, fields, kind).name
			continue
		except REFUSALS as error:
			yield from _refused(error)
		taken: list[Any] = []
		for field in fields:
			try:
				_save(doctype, values, [*taken, field], kind, keep=False)
				taken.append(field)
			except REFUSALS as error:
				yield from _refused(error)
		if taken:
			made[kind] = _save(doctype, values, taken, kind).name


def _links(doctype: str, kind: str) -> dict[str, str]:
	"""Returns links to documents with marks of the same kind."""
	fields = frappe.get_meta(doctype).get_link_fields()
	return {f.fieldname: NAMES[f.options][kind] for f in fields if kind in NAMES.get(f.options, {})}


NAMES: dict[str, dict[str, str]] = {}  # by DocType, the documents by their kind of mark
REFUSALS = (frappe.ValidationError, frappe.NameError, *failures.ERRORS)


def _refused(error: BaseException) -> list[str]:
	frappe.db.rollback()
	return [str(error), *told()]


def texts_of(doctype: str) -> Iterator[Any]:
	"""Yields the text fields of a DocType and of its tables. Those of a table have the table's field as `table`."""
	for field in frappe.get_meta(doctype).fields:
		if field.fieldtype in TEXTS:
			yield frappe._dict(field.as_dict(), table=None)
		if field.fieldtype == "Table":
			inner = frappe.get_meta(field.options).fields
			yield from (
				frappe._dict(f.as_dict(), table=field.fieldname) for f in inner if f.fieldtype in TEXTS
			)


def _save(doctype: str, values: dict[str, Any], fields: list[Any], kind: str, keep: bool = True) -> Document:
	meta = frappe.get_meta(doctype)
	serial = uuid.uuid4().hex[:8]
	doc = frappe.get_single(doctype) if meta.issingle else frappe.new_doc(doctype)
	doc.update({f.fieldname: f"Tame {serial}" for f in meta.fields if f.reqd and f.fieldtype in TEXTS})
	doc.update(copy.deepcopy(values))
	for field in fields:
		text = mark(f"{field.parent}.{field.fieldname}", kind, field.fieldtype in AS_HTML)
		if field.table:
			rows = doc.get(field.table) or [doc.append(field.table, {})]
			rows[0].set(field.fieldname, text)
		else:
			doc.set(field.fieldname, f"{text}{serial}" if field.reqd else text)  # a name is made of it
	doc.save() if meta.issingle else doc.insert()
	frappe.db.commit() if keep else frappe.db.rollback()
	return doc


def told() -> list[str]:
	"""Returns what frappe.msgprint was given since."""
	messages = [text if isinstance(text, dict) else json.loads(text) for text in frappe.message_log]
	frappe.clear_messages()
	return [message["message"] for message in messages]


# What a host app's source of questions delivers


class MarkedQuestions:
	"""A question source all of whose texts are marks. Its ids are marks, too, but for one."""

	ID: ClassVar = "host-question"
	SUBJECT: ClassVar = "Host"

	@classmethod
	def subject(cls) -> str:
		return cls.SUBJECT + "".join(marks("host app's subject"))

	@classmethod
	def get_questions(cls, question_ids: list[str]) -> dict[str, Any]:
		keys = ("question", "answer", "explanation")
		content = {key: "".join(marks(f"host app's {key}", shows_html=True)) for key in keys}
		option = "".join(marks("host app's option", shows_html=True))
		content["options"] = [{"option": option, "is_correct": right} for right in (True, False)]
		names = {"subject": cls.subject(), "topic": mark("host app's topic", "formula")}
		return {name: {**content, **names} for name in question_ids}

	@classmethod
	def find_questions(cls, subject: str | None, topic: str | None, offset: int, limit: int) -> list[str]:
		return [cls.ID, *marks("host app's id")][offset : offset + limit]

	@classmethod
	def get_subjects(cls) -> list[str]:
		return [cls.subject(), "Other"]
