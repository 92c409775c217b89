"""After a full round of use a learner's address is in her Memora Learner, and nowhere else that is Memora's."""

import zlib
from pathlib import Path

import frappe
import pytest
import redis
from frappe.desk import query_report

from devtools import processes
from devtools.paths import current_bench
from memora.services.operations import metrics
from memora.services.store.database import query
from tests.integration import bench_commands, state
from tests.integration.client import Client, message
from tests.integration.factories import make_learner, make_records
from tests.integration.submitting import answers, as_sent, days_ago, submit
from tests.integration.waiting import wait_until

TEXTS_SQL = """
	SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN %s
	AND DATA_TYPE IN ('varchar', 'char', 'text', 'mediumtext', 'longtext', 'tinytext')"""
HOLDS_ADDRESSES = "Memora Learner"
COMMANDS = (
	("drain",),
	("status",),
	("doctor",),
	("activity",),
	("forecast",),
	("rebuild-cache", "--season", "SEASON-2026"),
	("reconcile", "--all"),
	("replay", "--season", "SEASON-2026"),
)
REPORTS = ("Learner Overview", "Leeches")


@pytest.fixture(scope="module")
def worker(site):
	with processes.worker(["srs_write"]) as handle:
		yield handle


def use_everything(web, worker, learner, season) -> None:
	make_records(learner.name, 5)
	with days_ago(1):
		submit(learner.name, answers(questions=["bank-geo-asia-001"]))
	client = Client(web.url, learner.token)
	for endpoint in ("reviews.get_review_session", "sessions.get_lesson_session"):
		message(client.get(f"memora.api.{endpoint}", preview=1))
	sent = message(client.post("memora.api.reviews.submit_review_session", responses=as_sent(answers(3, 1))))
	message(client.get("memora.api.reviews.get_persistence_status", job_id=sent["persistence_job_id"]))
	message(client.get("memora.api.reviews.get_reviews_safe_mode", user=learner.user, season=season))
	assert client.get("memora.api.reviews.get_persistence_status", job_id="nothing").status_code == 403
	assert client.post("memora.api.reviews.submit_review_session", responses="?").status_code == 400
	assert client.session.get(f"{web.url}/review").ok
	wait_until(lambda: not state.outbox(learner.name), "the outbox to be empty")
	for command in COMMANDS:
		bench_commands.run("--site", frappe.local.site, "memora", *command)
	for report in REPORTS:
		query_report.run(report, {"season": season}, ignore_prepared_report=True)


def in_tables(word: str) -> list[str]:
	doctypes = frappe.get_all("DocType", {"module": "Memora", "issingle": 0, "is_virtual": 0}, pluck="name")
	tables = [f"tab{doctype}" for doctype in doctypes if doctype != HOLDS_ADDRESSES]
	found = []
	for table, column in query(TEXTS_SQL, (tables,)):
		((count,),) = query(f"SELECT COUNT(*) FROM `{table}` WHERE `{column}` LIKE %s", (f"%{word}%",))
		found += [f"{table}.{column}"] if count else []
	return found


def unpacked(value: bytes) -> bytes:
	"""RQ compresses what a job is called with."""
	try:
		return zlib.decompress(value)
	except zlib.error:
		return value


def in_redis(word: str) -> list[str]:
	"""Looks into every key of the schedules' and the queue's Redis, and into Memora's of the cache."""
	found = []
	for conf in ("srs_redis_cache", "redis_queue", "redis_cache"):
		client = redis.Redis.from_url(frappe.conf[conf].split("?")[0])
		for key in client.scan_iter():
			if conf == "redis_cache" and b"memora" not in key.partition(b"|")[2].lower():
				continue  # Frappe's own: sessions, users
			values = client.hvals(key) if client.type(key) == b"hash" else []
			texts = b"\n".join([key, client.dump(key) or b"", *map(unpacked, values)])
			found += [f"{conf}: {key!r}"] if word.encode() in texts else []
	return found


def in_files(word: str, *logs: Path) -> list[str]:
	site = Path(frappe.get_site_path()).resolve()
	files = [p for p in site.rglob("*") if p.is_file() and "backups" not in p.parts]
	names = [str(p) for p in files if word in str(p)]
	memora = current_bench().root / "logs" / "memora.log"
	texts = [p for p in (*files, memora, *logs) if p.exists() and word.encode() in p.read_bytes()]
	return [*names, *map(str, texts)]


def test_an_address_is_nowhere_else(web, worker, season):
	learner = make_learner()
	use_everything(web, worker, learner, season)
	assert learner.name in worker.log.read_text()  # so it is the log of her job
	frappe.db.rollback()
	word = learner.user.partition("@")[0]
	assert in_tables(word) == []
	assert in_redis(word) == []
	assert in_files(word, worker.log, web.log) == []
	assert word.encode() not in metrics.render_metrics("")[0]
	assert len(state.journal(learner.name)) == 4
