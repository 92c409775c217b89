"""No password stands in a log, an error, an alert, a reply, or in what a command prints, whatever goes wrong."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import frappe
import pytest

from devtools import processes
from devtools.paths import current_bench
from memora.services.cache.addresses import InvalidConfiguration
from memora.services.cache.breaker import Unavailable
from memora.services.cache.gateway import Gateway
from memora.services.operations import redis_servers
from tests.integration import bench_commands, state
from tests.integration.client import Client
from tests.integration.factories import (
	STANDING_SEASON,
	bank_questions,
	make_learner,
	make_records,
	make_waiting_submission,
)
from tests.integration.redis_server import RedisServer
from tests.integration.site_config import site_config

RIGHT, WRONG = "Xsecret-right-9Z", "Xsecret-wrong-9Z"
TOKEN = "Xsecret-token-9Z"
MARK = "Xsecret-"
SRS, QUEUE, CACHE = "srs_redis_cache", "redis_queue", "redis_cache"
JOBS = ("srs_redis_manager.rebuild_season_cache", "srs_archiver.archive_season")
TABLES = (
	"Error Log",
	"Safe Mode Incident",
	"Notification Log",
	"Email Queue",
	"Scheduled Job Log",
	"Comment",
	"Activity Log",
)


@pytest.fixture(scope="module")
def locked(site, tmp_path_factory) -> Iterator[RedisServer]:
	"""A Redis that wants a password."""
	server = RedisServer(tmp_path_factory.mktemp("locked") / "redis")
	server.start("--requirepass", RIGHT)
	yield server
	server.kill()


@pytest.fixture(scope="module")
def shown() -> Iterator[list[str]]:
	"""What replies and commands have said."""
	yield []


def url(server: RedisServer, password: str = RIGHT) -> str:
	return f"redis://:{password}@127.0.0.1:{server.port}/0?socket_timeout=1"


def configurations(server: RedisServer) -> Iterator[dict[str, Any]]:
	"""Of the schedules' Redis: right, with a wrong password, gone, and written so that nobody can read it."""
	here = f"127.0.0.1:{server.port}"
	yield {SRS: url(server)}
	yield {SRS: url(server, WRONG)}
	yield {SRS: f"redis://:{RIGHT}@127.0.0.1:1/0"}
	yield {SRS: f"redis://:{RIGHT}/?#@{here}/0"}
	yield {SRS: f"{RIGHT}@{here}"}
	yield {SRS: url(server), "srs_redis_cluster": 1}
	yield {SRS: url(server), "srs_redis_cluster": [f"memora:{RIGHT}@{here}"]}
	for sentinel in (f"redis://:{RIGHT}@{here}", {"hosts": f":{RIGHT}@{here}", "service": "memora"}):
		yield {"srs_redis_sentinel": sentinel}
	options = {"service": "memora", "password": WRONG, "sentinel_password": RIGHT}
	yield {"srs_redis_sentinel": {"hosts": [here], **options}}
	yield {"srs_redis_sentinel": {"hosts": [f":{RIGHT}@{here}"], **options}}
	yield {"srs_redis_sentinel": {"hosts": [here], **options, "pass": RIGHT}}


def go_round(web: processes.Handle) -> list[str]:
	"""Has a learner, a manager, an operator and the scheduler do what they do. Returns what they were shown."""
	learner, manager = make_learner(), make_learner(["Memora Manager"])
	make_records(learner.name, 3)
	make_waiting_submission(learner.name, STANDING_SEASON)
	hers, his = Client(web.url, learner.token), Client(web.url, manager.token)
	answer = {"question_id": bank_questions()[0], "quality": 4}
	replies = [
		hers.get("memora.api.reviews.get_review_session"),
		hers.post("memora.api.reviews.submit_review_session", responses=[answer]),
		Client(web.url, f"token {learner.api_key}:{TOKEN}").get("memora.api.reviews.get_review_session"),
		*(his.get(f"memora.api.srs.{name}") for name in ("get_health", "get_metrics", "get_cache_status")),
		his.post("memora.api.srs.rebuild_season_cache", season=STANDING_SEASON),
		his.post("memora.api.srs.trigger_reconciliation"),
	]
	return [*(reply.text for reply in replies), *commands(), *jobs()]


def commands() -> Iterator[str]:
	for command in (
		["status"],
		["doctor"],
		["reconcile"],
		["rebuild-cache", "--season", STANDING_SEASON],
		["drain"],
	):
		done = bench_commands.run("--site", frappe.local.site, "memora", *command)
		yield f"{done.output}{done.stderr}{done.exception!r}"


def jobs() -> Iterator[str]:
	"""Runs here what the scheduler and managers have workers run. Frappe logs errors with all variables of the traceback."""
	ones = [(method, {}) for method in scheduled()]
	ones += [(f"memora.services.{name}", {"season_name": STANDING_SEASON}) for name in JOBS]
	for method, arguments in ones:
		frappe.local.conf.update(frappe.get_site_config())
		try:
			yield repr(frappe.get_attr(method)(**arguments))
		except (
			Exception
		) as error:  # any error: what is looked for is what it says, and none of these jobs takes answers
			frappe.log_error(title=method)
			yield repr(error)
		frappe.db.commit()


def scheduled() -> Iterator[str]:
	events = frappe.get_hooks("scheduler_events", app_name="memora")
	for at, methods in events.items():
		yield from (method for group in methods.values() for method in group) if at == "cron" else methods


def logs(since: dict[Path, int]) -> Iterator[tuple[str, str]]:
	"""Yields the name and the new part of each file of logs."""
	for path in sizes():
		with path.open("rb") as file:
			file.seek(since.get(path, 0))
			yield path.name, file.read().decode(errors="replace")


def sizes() -> dict[Path, int]:
	bench = current_bench()
	folders = [bench.root / "logs", bench.root / "run", bench.sites / frappe.local.site / "logs"]
	return {
		path: path.stat().st_size for folder in folders for path in folder.rglob("*.log*") if path.is_file()
	}


def rows() -> Iterator[tuple[str, str]]:
	for doctype in TABLES:
		yield doctype, json.dumps(state.rows(doctype), default=str)


def lines_with_secrets(name: str, text: str) -> list[str]:
	return [f"{name}: {line[:300]}" for line in text.replace("\\n", "\n").splitlines() if MARK in line]


def test_nothing_shows_a_password(locked):
	before, said = sizes(), []
	with processes.web(frappe.local.site, app="tests.integration.served:application") as web:
		for configuration in configurations(locked):
			with site_config(**configuration):
				frappe.local.conf.update(frappe.get_site_config())
				said += go_round(web)
	found = [line for name, text in (*logs(before), *rows()) for line in lines_with_secrets(name, text)]
	assert found + [line for text in said for line in lines_with_secrets("said", text)] == []


def test_a_traceback_with_its_variables_shows_no_password(locked):
	"""That is how Frappe logs an error that nobody has expected."""
	for configuration in configurations(locked):
		frappe.local.conf.update({"srs_redis_sentinel": None, "srs_redis_cluster": None, **configuration})
		for way in (lambda: Gateway().ask(lambda client: client.ping()), redis_servers.servers):
			log_failure(way)
	frappe.db.commit()
	logged = state.rows("Error Log", method="unexpected")
	assert len(logged) > 10
	shown = [line for row in logged for line in lines_with_secrets("Error Log", row.error)]
	assert "\n".join(shown) == ""


def log_failure(way: Callable[[], Any]) -> None:
	try:
		way()
	except (Unavailable, InvalidConfiguration):
		frappe.log_error(title="unexpected")
