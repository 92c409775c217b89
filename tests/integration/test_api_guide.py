"""docs/api.md: every example in it runs against the site and does what it says."""

import json
import os
import re
import subprocess
from typing import Any

import frappe
import pytest
from frappe.utils.password import update_password

from devtools import node
from devtools.paths import PROJECT, current_bench
from memora.services.store import row_names
from tests.integration import contract, state
from tests.integration.connections import raw_connection
from tests.integration.factories import bank_questions, make_learner, make_records, make_topic
from tests.integration.waiting import wait_until

GUIDE = (PROJECT / "docs" / "api.md").read_text()
PASSWORD = "correct horse battery staple"
SECONDS = 60


def blocks(language: str) -> list[str]:
	return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def interpreter(language: str) -> list[Any]:
	return {
		"sh": ["bash", "-euo", "pipefail", "-s"],
		"python": [current_bench().python, "-"],
		"js": [node.program(current_bench()), "--input-type=module", "-"],
	}[language]


class Examples:
	"""The examples of one language, as one program, for a learner with one question due."""

	def __init__(self, language: str, site: str, manager_token: str) -> None:
		learner = make_learner()
		update_password(learner.user, PASSWORD)
		make_records(learner.name, question_ids=bank_questions()[:1])
		self.player, self.user = learner.name, learner.user
		_, token = learner.token.split()
		account = {"USR": self.user, "PASSWORD": PASSWORD, "TOKEN": token}
		here = {"SITE": site, "MANAGER_TOKEN": manager_token, "NO_PROXY": "127.0.0.1"}
		pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
		self.process = subprocess.Popen(
			interpreter(language),
			cwd=node.folder(current_bench()),
			env={**os.environ, **account, **here},
			text=True,
			**pipes,
		)
		self.program = "\n".join(blocks(language))

	def start(self) -> None:
		with self.process.stdin as stdin:
			stdin.write(self.program)
		self.process.stdin = None

	def output(self) -> str:
		output, errors = self.process.communicate(timeout=SECONDS)
		assert self.process.returncode == 0, f"{output}\n{errors}"
		return output


@pytest.fixture
def capital():
	values = {"question": "<p>What is the capital of France?</p>", "answer": "Paris"}
	topic = make_topic("Capitals", "Europe")
	frappe.get_doc({"doctype": "Game Question", "topic": topic, **values}).insert(set_name="capital-fr")
	frappe.db.commit()


@pytest.fixture
def examples(web, long_worker, capital):
	"""By language, ready to start."""
	_, manager_token = make_learner(["Memora Manager"]).token.split()
	found = {language: Examples(language, web.url, manager_token) for language in ("sh", "python", "js")}
	frappe.db.commit()
	yield found
	for one in found.values():
		one.process.kill()
		one.process.wait()


def test_the_examples(examples):
	"""All at once: the clients that repeat meet a 503 first, and have to wait for seconds."""
	with raw_connection() as connection, connection.cursor() as cursor:
		for language in ("python", "js"):
			name = "memora:" + row_names.digest(frappe.conf.db_name, examples[language].player)
			cursor.execute("SELECT GET_LOCK(%s, 0)", (name,))
		for one in examples.values():
			one.start()
		wait_until(lambda: len(waiting_for_a_lock()) == 2, "two submissions")
		for connection_id in waiting_for_a_lock():
			cursor.execute("KILL QUERY %s", (connection_id,))
	check_curl(examples["sh"])
	check_python(examples["python"])
	check_js(examples["js"])


def waiting_for_a_lock() -> list[int]:
	sql = "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND STATE = 'User lock'"
	return [connection_id for (connection_id,) in frappe.db.sql(sql)]


def check_curl(examples: Examples) -> None:
	*printed, job = examples.output().splitlines()
	_login, user, lesson, learnt, due, first, again, conflict = map(json.loads, printed)
	assert user["message"] == examples.user
	assert len(lesson["message"]["questions"]) == 2
	assert list(learnt["message"]["schedule"]) == ["capital-fr"]
	assert due["message"]["total_due"] == 1
	assert first["message"]["status"] == "success"
	assert again["message"] == {**first["message"], "status": "already_processed"}
	assert conflict["exc_type"] == "SubmissionConflict"
	assert json.loads(job)["message"]["status"] == "finished"
	assert [row.question_id for row in state.journal(examples.player)] == ["capital-fr"] * 2


def check_python(examples: Examples) -> None:
	learnt, first, again, stored, job = examples.output().splitlines()
	assert learnt.startswith("success {'")
	assert (first, again, job) == ("success 1", "already_processed 1", "finished 0")
	assert "'status': 'queued'" in stored
	assert len(state.journal(examples.player)) == 3


def check_js(examples: Examples) -> None:
	_login, *printed = examples.output().splitlines()
	assert printed[0].startswith("success {")
	assert printed[-4:] == [
		"first success 1",
		"again already_processed 1",
		"409 SubmissionConflict",
		"finished 0",
	]
	assert len(state.journal(examples.player)) == 3


def test_no_block_is_left_out():
	languages = re.findall(r"^```(.+)$", GUIDE, re.MULTILINE)
	assert set(languages) == {"sh", "python", "js", "json"}


def test_the_reply_shown_is_one():
	(reply,) = map(json.loads, blocks("json"))
	schema = {"$ref": "#/components/schemas/SubmissionResult"}
	assert contract.errors(schema, reply["message"]) == []


def test_every_endpoint_named_is_one():
	named = set(re.findall(r"memora\.api\.\w+\.\w+", GUIDE))
	assert {f"/api/method/{name}" for name in named} <= contract.DOCUMENT["paths"].keys()
