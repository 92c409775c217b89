"""Each function that can be called over HTTP, called by each kind of user with what no honest client sends.

The functions come from docs/openapi.json and from the code, so a new one is in here by itself. Nothing may be answered with a
server's error, with a refusal that has no name, with a stack trace, with markup, or with what is another learner's.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import frappe
import pytest
from requests import Response

from memora.services.store import tables
from tests.frappe_versions import HAS_SECOND_API
from tests.integration import state
from tests.integration.client import TIMEOUT_SECONDS, Client, message
from tests.integration.factories import (
	STANDING_SEASON,
	bank_questions,
	make_learner,
	make_records,
	make_waiting_submission,
)
from tests.integration.hostile import targets
from tests.integration.hostile.judge import OF_DOCUMENTS, OF_MEMORA, judge, name_of
from tests.integration.hostile.values import BODIES, MARKUP, VALUES, all_arguments
from tests.integration.test_openapi import CALLS, STAND_INS
from tests.integration.test_permissions import make_document

ENDPOINTS = {**targets.documented(), **targets.undocumented()}
METHODS = targets.of_documents()
AUTHOR = "Question Author of the Tests"
SUBMIT = "memora.api.reviews.submit_review_session"
VERSIONS = ("v1", "v2") if HAS_SECOND_API else ()
RUN_METHOD = f"{targets.PREFIX}run_doc_method"
FEW_BODIES = ("names of Python",)  # for all but one of the callers
JSON = {"Content-Type": "application/json"}


@dataclass
class School:
	"""Callers by kind, and what is another learner's: words that only her data have, ids that others may try."""

	callers: dict[str, Client]
	her: str
	words: set[str]
	ids: list[str]

	def secrets(self, kind: str) -> set[str]:
		"""Returns what a caller must not see. A manager sees all learners."""
		return set() if kind == "manager" else self.words

	def of_hers(self) -> Any:
		return state.tracker(self.her), state.journal(self.her), state.outbox(self.her)


@pytest.fixture
def school(web) -> School:
	roles = {
		"learner": [],
		"author": [AUTHOR],
		"monitor": ["Memora Monitor"],
		"manager": ["Memora Manager"],
	}
	callers = {kind: Client(web.url, make_learner(names).token) for kind, names in roles.items()}
	callers["guest"] = Client(web.url)
	her = make_learner(first_name="Zubaida-Hers")
	hers = Client(web.url, her.token)
	make_records(her.name, 3, stability=4321.125)
	sent = message(
		hers.post(
			SUBMIT, responses=[{"question_id": bank_questions()[9], "quality": 4}], submission_id="hers-only"
		)
	)
	waiting = make_waiting_submission(her.name, STANDING_SEASON)
	names = [row.name for row in (*state.tracker(her.name).values(), *state.journal(her.name))]
	words = {her.name, "Zubaida-Hers", "hers-only", "4321.125", *names}
	return School(
		callers, her.name, words, [her.name, sent["persistence_job_id"], waiting, names[0], "hers-only"]
	)


@pytest.fixture(scope="module", autouse=True)
def author(site) -> Iterator[None]:
	"""A role that may edit questions, and nothing else."""
	role = frappe.get_doc({"doctype": "Role", "role_name": AUTHOR}).insert()
	rights = {
		"parent": "Game Question",
		"parenttype": "DocType",
		"parentfield": "permissions",
		"role": AUTHOR,
	}
	frappe.get_doc({"doctype": "DocPerm", **rights, "read": 1, "write": 1, "create": 1}).db_insert()
	forget_rights()
	yield
	frappe.db.rollback()
	frappe.db.delete("DocPerm", {"role": AUTHOR})
	role.delete()
	forget_rights()


def forget_rights() -> None:
	frappe.db.commit()
	frappe.clear_cache(doctype="Game Question")


# Whatever can be called is in this suite


def test_all_that_is_whitelisted_is_tried():
	tried = {*ENDPOINTS, *(f"{module}.{method}" for _doctype, method, module in METHODS)}
	assert tried == {*targets.decorated()} == targets.whitelisted()


# Endpoints


@pytest.mark.parametrize("path", ENDPOINTS)
def test_hostile_values(school, path):
	"""For one argument after the other, by somebody whom the endpoint lets in."""
	target, before = ENDPOINTS[path], school.of_hers()
	kind = who_is_let_in(school, target)
	client = school.callers[kind]
	for arguments in variants(target, honest(target, client), school.ids):
		judge(send(client, targets.PREFIX + path, arguments), school.secrets(kind))
	assert school.of_hers() == before


def who_is_let_in(school: School, target: targets.Target) -> str:
	answered = school.callers["learner"].request(target.verbs[-1], targets.PREFIX + target.path)
	return "manager" if answered.status_code == 403 else "learner"


def honest(target: targets.Target, client: Client) -> dict[str, Any]:
	"""Returns arguments that are answered, as far as test_openapi.py knows some."""
	calls = CALLS.get(target.path.removeprefix("memora.api."))
	good = calls.good if calls else dict.fromkeys(target.arguments, STANDING_SEASON)
	return {
		name: STAND_INS[value](client) if str(value) in STAND_INS else value for name, value in good.items()
	}


def variants(target: targets.Target, good: dict[str, Any], ids: list[str]) -> Iterator[dict[str, Any]]:
	"""Yields arguments of which one is hostile, or one field of an item of a list."""
	values = [*VALUES.values(), *ids]
	for name in target.arguments:
		yield from ({**good, name: value} for value in values)
	for name, field in target.fields:
		first, *others = good.get(name) or [{}]
		yield from ({**good, name: [{**first, field: value}, *others]} for value in values)


def send(client: Client, address: str, body: Any) -> Response:
	"""As JSON that requests would not write: with halves of characters."""
	return client.request("POST", address, data=json.dumps(body).encode(), headers=JSON)


@pytest.mark.parametrize("path", ENDPOINTS)
def test_hostile_bodies_and_ways(school, path):
	target, before = ENDPOINTS[path], school.of_hers()
	let_in = who_is_let_in(school, target)
	for kind, client in school.callers.items():
		for response in (
			*sent_as(client, target, BODIES if kind == let_in else FEW_BODIES),
			*ways(client, target),
		):
			judge(response, school.secrets(kind))
	assert school.of_hers() == before


def sent_as(client: Client, target: targets.Target, bodies: Iterable[str]) -> Iterator[Response]:
	argument = (target.arguments or ("argument",))[0].encode()
	for name in bodies:
		data = BODIES[name].replace(b"ARGUMENT", argument)
		yield ask(client, "POST", targets.PREFIX + target.path, data=data, headers=JSON)


def ways(client: Client, target: targets.Target) -> Iterator[Response]:
	"""By other verbs and media types, by Frappe's old argument, by the other versions of its API."""
	address, texts = targets.PREFIX + target.path, all_arguments(target.arguments, MARKUP)
	for verb in ("GET", "PUT", "DELETE"):
		yield ask(client, verb, address, params=[*texts.items(), *texts.items()])
	yield ask(client, "POST", address, files={name: ("a.js", b"alert(1)") for name in texts})
	yield ask(client, "POST", address, data=b"\x00\xff<xml>", headers={"Content-Type": "text/xml"})
	yield ask(client, "POST", "/", data={**texts, "cmd": target.path}, headers={"Accept": "application/json"})
	for version in VERSIONS:
		yield ask(client, "POST", f"/api/{version}/method/{target.path}", json=texts)


def ask(client: Client, verb: str, address: str, **options: Any) -> Response:
	"""Without a look at docs/openapi.json, which has no words for such requests."""
	return client.session.request(verb, client.url + address, timeout=TIMEOUT_SECONDS, **options)


# Methods of documents


@pytest.mark.parametrize(("doctype", "method"), [one[:2] for one in METHODS])
def test_methods_of_documents(school, doctype, method):
	before, name = school.of_hers(), make_document(doctype)
	for kind, client in school.callers.items():
		for response in calls_by_name(client, doctype, name, method):
			judge(response, school.secrets(kind), OF_DOCUMENTS)
	assert school.of_hers() == before


def calls_by_name(client: Client, doctype: str, name: str, method: str) -> Iterator[Response]:
	"""Of a document that is there, and of one that is not."""
	yield send(client, RUN_METHOD, {"dt": doctype, "dn": name, "method": method, "args": MARKUP})
	for document in (name, "x" * 1000):
		yield send(client, RUN_METHOD, {"dt": doctype, "dn": document, "method": method})
		address = f"/api/resource/{quote(doctype)}/{quote(document, safe='')}"
		yield client.request("GET", address, params={"run_method": method})


@pytest.mark.parametrize(("doctype", "method"), [one[:2] for one in METHODS])
def test_methods_of_a_document_that_is_made_up(school, doctype, method):
	"""Frappe lets a caller send the document, too, as a form does that has not saved it yet."""
	before = names_of_partitions()
	for name in ("Nowhere", MARKUP):
		document = json.dumps(
			{"doctype": doctype, "name": name, "__islocal": 1, "status": "Running", "file": "/files/x"}
		)
		response = send(school.callers["manager"], RUN_METHOD, {"method": method, "docs": document})
		assert 400 <= response.status_code < 500, response.text
		assert name_of(response) in OF_MEMORA | {"DoesNotExistError", "PermissionError"}
	assert names_of_partitions() == before


def names_of_partitions() -> list[str]:
	return sorted(
		partition["season"] for doctype in tables.INDEXES for partition in tables.list_partitions(doctype)
	)
