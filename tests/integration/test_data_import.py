"""Questions from CSV files by way of Frappe's Data Import, as a Memora Manager uses it."""

import csv
import io
import json
from pathlib import Path

import frappe
import pytest
from frappe.core.doctype.data_import.data_import import start_import

from memora.patches.v1_0 import keep_to_own_imports
from tests.integration.client import Client, message
from tests.integration.factories import make_learner, make_topic

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
INSERT, UPDATE = "Insert New Records", "Update Existing Records"
HEADER = ["Topic", "Question", "Answer", "Option (Options)", "Right (Options)"]
TOPIC = "Subject: Topic"
REFUSED = ("Pending", "Error")  # when all rows failed: in the oldest Frappe and the others


@pytest.fixture(autouse=True)
def manager() -> None:
	make_topic("Subject", "Topic")
	frappe.set_user(make_learner(roles=["Memora Manager"]).user)


def upload(doctype: str, content: str, import_type: str = INSERT, **ticks: int):
	file = {"doctype": "File", "file_name": "questions.csv", "is_private": 1, "content": content}
	url = frappe.get_doc(file).insert().file_url
	values = {"reference_doctype": doctype, "import_type": import_type, "import_file": url}
	doc = frappe.get_doc({"doctype": "Data Import", **values, **ticks}).insert()
	frappe.db.commit()
	return doc


def run(doctype: str, content: str, import_type: str = INSERT, **ticks: int) -> tuple[str, dict[int, str]]:
	"""(status, {first row of what failed: why}) of the job that the desk's button starts."""
	doc = upload(doctype, content, import_type, **ticks)
	start_import(doc.name)
	frappe.flags.in_import = False
	logs = frappe.get_all(
		"Data Import Log",
		filters={"data_import": doc.name, "success": 0},
		fields=["row_indexes", "messages", "exception"],
	)
	errors = {json.loads(log.row_indexes)[0]: f"{log.messages} {log.exception}" for log in logs}
	return frappe.db.get_value("Data Import", doc.name, "status"), errors


def rows(*lines: list[str]) -> str:
	text = io.StringIO()
	csv.writer(text).writerows([HEADER, *lines])
	return text.getvalue()


def example(name: str) -> str:
	return (EXAMPLES / f"{name}.csv").read_text(encoding="utf-8")


def warnings(content: str) -> str:
	"""Returns what the preview shows."""
	preview = upload("Game Question", content).get_preview_from_template()
	return " ".join(warning["message"] for warning in preview.warnings)


@pytest.fixture
def examples() -> None:
	for doctype, name in (
		("Game Subject", "subjects"),
		("Game Topic", "topics"),
		("Game Question", "questions"),
	):
		assert run(doctype, example(name)) == ("Success", {})


def test_the_examples_are_imported(examples):
	danube = frappe.get_doc("Game Question", "rivers-eu-1")
	assert (danube.topic, danube.subject, danube.enabled) == ("Rivers: Europe", "Rivers", 1)
	assert [(o.option_text, o.is_correct) for o in danube.options] == [
		("The Black Sea", 1),
		("The North Sea", 0),
		("The Adriatic", 0),
	]
	assert frappe.get_doc("Game Question", "rivers-eu-2").options == []


def test_a_second_import_is_refused_and_an_update_changes_what_changed(examples):
	status, errors = run("Game Question", example("questions"))
	assert (status in REFUSED, sorted(errors)) == (True, [2, 5, 6])
	assert "Question rivers-eu-2 exists already" in errors[5]
	changed = example("questions").replace("The Seine", "The river Seine")
	assert run("Game Question", changed, UPDATE) == ("Success", {})
	assert frappe.db.get_value("Game Question", "rivers-eu-2", "answer") == "The river Seine"
	assert len(frappe.get_doc("Game Question", "rivers-eu-1").options) == 3


def test_without_ids_a_second_import_is_refused_too():
	content = rows([TOPIC, "Which?", "This", "", ""])
	assert run("Game Question", content) == ("Success", {})
	(name,) = frappe.get_all("Game Question", filters={"topic": TOPIC}, pluck="name")
	status, errors = run("Game Question", content)
	assert status in REFUSED
	assert f"Question {name} exists already" in errors[2]


def test_rows_that_contradict_themselves_fail_and_the_others_are_imported():
	status, errors = run(
		"Game Question",
		rows(
			[TOPIC, "good", "yes", "", ""],
			[TOPIC, "two right", "a", "a", "1"],
			["", "", "", "b", "1"],
			[TOPIC, "none right", "a", "a", "0"],
			["", "", "", "b", "0"],
			[TOPIC, "one option", "a", "a", "1"],
			[TOPIC, "good, too", "yes", "a", "1"],
			["", "", "", "b", "0"],
		),
	)
	assert status == "Partial Success"
	assert sorted(errors) == [3, 5, 7]
	assert "Exactly one option must be right, not 2 (a, b)" in errors[3]
	assert "Exactly one option must be right, not 0" in errors[5]
	assert "2 to 8 options, not 1" in errors[7]
	questions = frappe.get_all(
		"Game Question", filters={"topic": TOPIC}, pluck="question", order_by="question"
	)
	assert questions == ["good", "good, too"]


def test_the_preview_names_topics_that_do_not_exist_and_nothing_is_imported():
	content = rows([TOPIC, "good", "yes", "", ""], ["Subject: Tropic", "bad", "yes", "", ""])
	assert "subject: tropic" in warnings(content).lower()
	status, errors = run("Game Question", content)
	assert (status, errors) == ("Pending", {})
	assert not frappe.db.exists("Game Question", {"topic": TOPIC})


def test_a_question_without_an_answer_fails():
	content = rows([TOPIC, "no answer", "", "", ""], [TOPIC, "good", "yes", "", ""])
	status, errors = run("Game Question", content)
	assert (status, sorted(errors)) == ("Partial Success", [2])
	assert "Value missing for Game Question: Answer" in errors[2]


def test_learners_import_nothing():
	frappe.set_user(make_learner().user)
	with pytest.raises(frappe.PermissionError):
		upload("Game Question", rows([TOPIC, "good", "yes", "", ""]))


# Whose imports, of what, from which file


@pytest.fixture
def secret() -> str:
	"""A private file of the Administrator's that hangs on nothing."""
	frappe.set_user("Administrator")
	file = {"doctype": "File", "file_name": "secret.csv", "is_private": 1, "content": "ID,Title\nx,SECRET\n"}
	url = frappe.get_doc(file).insert().file_url
	frappe.db.commit()
	return url


@pytest.fixture
def others(secret) -> str:
	"""A pending import of the Administrator's, with a file of its own."""
	values = {"reference_doctype": "Game Subject", "import_type": INSERT, "import_file": secret}
	doc = frappe.get_doc({"doctype": "Data Import", **values}).insert()
	file = frappe.get_doc("File", {"file_url": secret})
	file.update({"attached_to_doctype": "Data Import", "attached_to_name": doc.name}).save()
	frappe.db.commit()
	return doc.name


@pytest.fixture
def hers(web) -> Client:
	return Client(web.url, make_learner(["Memora Manager"]).token)


def own_import(client: Client, doctype: str = "Game Subject", **values: str):
	sent = {"doctype": "Data Import", "reference_doctype": doctype, "import_type": INSERT, **values}
	return client.post("frappe.client.insert", doc=sent)


PREVIEW = "frappe.core.doctype.data_import.data_import.get_preview_from_template"


def test_others_imports_are_closed(hers, others, secret):
	listed = message(hers.get("frappe.client.get_list", doctype="Data Import"))
	files = message(
		hers.get("frappe.client.get_list", doctype="File", fields='["file_url"]', limit_page_length=0)
	)
	assert (listed, secret in [file["file_url"] for file in files]) == ([], False)
	path = f"/api/resource/Data Import/{others}"
	of_frappe = "frappe.core.doctype.data_import.data_import."
	refused = [
		hers.request("GET", path),
		hers.request("PUT", path, json={"import_file": "/private/files/mine.csv"}),
		hers.request("GET", secret),
		hers.post(PREVIEW, data_import=others),
		hers.post(f"{of_frappe}form_start_import", data_import=others),
		hers.post(f"{of_frappe}get_import_status", data_import_name=others),
		hers.post(f"{of_frappe}get_import_logs", data_import=others),
		hers.post(f"{of_frappe}download_errored_template", data_import_name=others),
		hers.post(f"{of_frappe}download_import_log", data_import_name=others),
	]
	assert [response.status_code for response in refused] == [403] * len(refused)
	assert frappe.db.get_value("Data Import", others, "import_file") == secret


def test_learners_call_none_of_it(web, others):
	"""Frappe 15 itself asks nobody for a permission."""
	client = Client(web.url, make_learner().token)
	assert client.post(PREVIEW, data_import=others).status_code == 403


def test_an_import_of_her_own_reads_her_own_files_only(hers, secret):
	assert own_import(hers, import_file=secret).status_code == 403
	assert own_import(hers, import_file="/etc/passwd").status_code == 403
	name = message(own_import(hers))["name"]
	stored = message(hers.get("frappe.client.get", doctype="Data Import", name=name))
	method, run = PREVIEW.rpartition(".")[2], "/api/method/run_doc_method"
	ways = [
		hers.post(PREVIEW, data_import=name, import_file=secret),
		hers.request("PUT", f"/api/resource/Data Import/{name}", json={"import_file": secret}),
		*(
			hers.request(
				"POST", run, json={"docs": json.dumps({**stored, **changed}), "method": method, "args": args}
			)
			for changed, args in (({}, {"import_file": secret}), ({"import_file": secret}, {}))
		),
	]
	assert [way.status_code for way in ways] == [403] * len(ways)
	assert "SECRET" not in "".join(way.text for way in ways)


@pytest.mark.parametrize(
	"doctype", ["User", "File", "Player Review Log", "Player Memory Tracker", "Game Subscription Season"]
)
def test_managers_import_the_question_bank_only(hers, doctype):
	assert own_import(hers, doctype).status_code in (403, 417)


def test_an_import_of_users_from_before_starts_for_nobody(web, secret):
	"""A System Manager who presses Start would import in her own name."""
	manager = make_learner(["Memora Manager"]).user
	values = {"reference_doctype": "User", "import_type": INSERT, "owner": manager}
	doc = frappe.get_doc({"doctype": "Data Import", **values}).insert()
	frappe.db.set_value("Data Import", doc.name, "owner", manager)
	frappe.db.commit()
	client = Client(web.url, make_learner(["System Manager"]).token)
	start = "frappe.core.doctype.data_import.data_import.form_start_import"
	assert client.post(start, data_import=doc.name).status_code == 403


def test_whoever_imports_by_another_role_is_free(web, secret):
	client = Client(web.url, make_learner(["Memora Manager", "System Manager"]).token)
	assert own_import(client, "User").status_code == 200


def test_an_older_site_is_brought_over(hers, others):
	rules = {"parent": ("in", ("Data Import", "Data Import Log")), "role": "Memora Manager"}
	frappe.db.set_value("Custom DocPerm", rules, "if_owner", 0)
	frappe.db.commit()
	keep_to_own_imports.execute()
	frappe.db.commit()
	assert frappe.get_all("Custom DocPerm", rules, pluck="if_owner") == [1, 1]
	assert hers.request("GET", f"/api/resource/Data Import/{others}").status_code == 403
