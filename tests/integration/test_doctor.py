"""Whatever the doctor knows of is broken for real, found under its name, and mended as the doctor says."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import frappe
import pytest
from frappe.utils import scheduler
from frappe.utils.background_jobs import get_queues_timeout

from devtools import mariadb, ports, shell
from devtools.daemons import Daemon, answers
from devtools.paths import MAIN_SITE, current_bench
from devtools.pids import PidFile
from devtools.sites import ADMIN_PASSWORD
from memora.services import settings
from memora.services.operations import doctor
from memora.services.operations.doctor import Finding
from memora.services.srs_archiver import SRSArchiver
from memora.services.store import layout, outbox, partitions, tables
from tests import frappe_versions
from tests.integration import bench_commands
from tests.integration.factories import (
	make_learner,
	make_records,
	make_season,
	make_waiting_submission,
	site_now,
)
from tests.integration.site_config import changed, site_config
from tests.integration.test_retention_of_seasons import make_old

SEASON = "Game Subscription Season"
SRS, QUEUE, CACHE = "srs_redis_cache", "redis_queue", "redis_cache"


@pytest.fixture(autouse=True)
def with_scheduler() -> Iterator[None]:
	"""The tests' site has it off, and no worker: test_doctor_processes.py is about these."""
	set_system("enable_scheduler", 1)
	frappe.local.conf[doctor.ACCEPTED] = ["queue_workers", "scheduled_jobs"]
	yield
	frappe.db.rollback()
	set_system("enable_scheduler", 0)


def set_system(field: str, value: Any) -> None:
	frappe.db.set_single_value("System Settings", field, value, update_modified=False)
	frappe.db.commit()
	frappe.clear_document_cache("System Settings", "System Settings")
	settings.forget_settings()


def look() -> list[Finding]:
	"""Returns the findings of the doctor as a new process would see them."""
	frappe.db.rollback()
	frappe.db.value_cache.clear()
	with suppress(AttributeError):
		del frappe.local.system_settings
	get_queues_timeout.cache_clear()
	found = doctor.examine()
	frappe.db.rollback()  # or DDL would wait for what this transaction has read
	return found


def only(check: str, *named: str) -> Finding:
	"""The one finding there is."""
	(finding,) = look()
	assert finding.check == check
	for part in named:
		assert part in finding.problem
	return finding


def follow(finding: Finding) -> None:
	"""Runs the last bench command of the text, as it is written there."""
	_before, _bench, command = finding.mend.rpartition("bench ")
	done = bench_commands.run(*shlex.split(command.partition(", and ")[0]))
	assert done.exit_code == 0, (done.output, done.stderr, done.exception)


def read_configuration() -> None:
	frappe.local.conf.update(frappe.get_site_config())


@pytest.fixture
def redis_server(tmp_path) -> Iterator[str]:
	"""The URL of a Redis of this test alone, as it should be."""
	port = ports.any_free()
	program = [shell.find("redis-server"), "--port", str(port), "--dir", str(tmp_path), "--save", ""]
	daemon = Daemon(
		name="redis",
		args=[*program, "--appendonly", "yes", "--maxmemory-policy", "noeviction"],
		log=tmp_path / "log",
		pid_file=PidFile(tmp_path / "pid.json"),
		ready=lambda: answers(port, b"PING\r\n", b"+PONG"),
	)
	process = daemon.start()
	yield f"redis://127.0.0.1:{port}/0?socket_timeout=1"
	process.kill()  # it does not end by itself while it writes its first file
	daemon.stop(process)


@contextmanager
def common_config(**values: Any) -> Iterator[Path]:
	path = Path(frappe.local.sites_path) / "common_site_config.json"
	with changed(path, **values):
		yield path


def test_nothing_is_wrong_with_a_fresh_site():
	assert look() == []


# Redis


@pytest.mark.parametrize("where", [SRS, QUEUE])
@pytest.mark.parametrize(
	("check", "setting", "bad"),
	[("redis_evicts", "maxmemory-policy", "allkeys-lru"), ("redis_persists", "appendonly", "no")],
)
def test_a_redis_that_loses_keys(redis_server, where, check, setting, bad):
	frappe.local.conf[where] = redis_server
	assert look() == []
	redis_cli = [shell.find("redis-cli"), "-u", redis_server.partition("?")[0]]
	subprocess.run([*redis_cli, "CONFIG", "SET", setting, bad], check=True, capture_output=True)
	mend = only(check, where).mend.partition(", and ")[0]
	assert subprocess.run(shlex.split(mend), capture_output=True, text=True).stdout == "OK\n"
	assert look() == []


@pytest.mark.parametrize("where", [SRS, QUEUE, CACHE])
def test_a_redis_that_is_not_there(where):
	url = f"redis://:secret@127.0.0.1:{ports.any_free()}/0?socket_timeout=1"
	frappe.local.conf[where] = url
	finding = only("redis_reachable", where, "Connection refused")
	assert "secret" not in str(finding)
	program = {SRS: "-redis-srs", QUEUE: "-redis-queue", CACHE: "-redis-cache"}[where]
	assert "sudo supervisorctl start " in finding.mend and finding.mend.endswith(program)


def test_schedules_beside_frappes_cache():
	frappe.local.conf[SRS] = frappe.conf[CACHE]
	found = look()
	assert [finding.check for finding in found] == ["redis_evicts", "redis_persists", "redis_own_instance"]
	with common_config() as path:
		follow(found[-1])
		assert json.loads(path.read_text())[SRS].startswith("redis://127.0.0.1:13100?socket_timeout=")


def test_another_site_under_the_same_names():
	main = frappe.get_site_config(site_path=MAIN_SITE)
	with site_config(srs_redis_cache=main[SRS].partition("?")[0]):
		read_configuration()
		found = {finding.check: finding for finding in look()}
		found.pop("redis_owner", None)  # the main site has been used, or has not
		assert found.keys() == {"redis_namespace"}
		assert MAIN_SITE in found["redis_namespace"].problem
		follow(found["redis_namespace"])
		read_configuration()
		assert frappe.conf.srs_redis_namespace == frappe.local.site
		assert look() == []


@pytest.mark.parametrize("where", [QUEUE, CACHE])
def test_a_redis_that_may_hang_requests(where):
	frappe.local.conf[where] = frappe.conf[where].partition("?")[0]
	finding = only("socket_timeouts", where)
	with common_config() as path:
		follow(finding)
		frappe.local.conf[where] = json.loads(path.read_text())[where]
		assert look() == []


def test_passwords_are_not_shown():
	frappe.local.conf[CACHE] = "redis://user:secret@127.0.0.1:1/0"
	found = look()
	assert {finding.check for finding in found} == {"redis_reachable", "socket_timeouts"}
	assert "secret" not in str(found)
	assert "redis://user:<password>@127.0.0.1:1/0?socket_timeout" in str(found)


# Queue, scheduler


def test_a_bench_without_the_queue():
	with common_config(workers={"other": {"timeout": 60}}) as path:
		read_configuration()
		follow(only("queue_configured", "srs_write"))
		read_configuration()
		assert look() == []
		workers = json.loads(path.read_text())["workers"]
		assert workers == {"other": {"timeout": 60}, "srs_write": {"timeout": 300}}


def test_answers_that_nobody_folds(player, season):
	name = make_waiting_submission(player, season)
	assert look() == []
	frappe.db.sql(
		"UPDATE `tabReview Outbox` SET creation = creation - INTERVAL 10 MINUTE WHERE name = %s", (name,)
	)
	frappe.db.commit()
	follow(only("queue_worked", "1 submission has waited since"))
	assert look() == []


def test_parked_answers(player, season):
	name = make_waiting_submission(player, season)
	outbox.park(name, "a cause that is mended by now", site_now())
	frappe.db.commit()
	follow(only("queue_worked", "1 submission is parked"))
	assert look() == []


def test_a_scheduler_that_is_off():
	set_system("enable_scheduler", 0)
	follow(only("scheduler", "off"))
	assert look() == []


def test_a_scheduler_that_is_paused():
	with site_config(pause_scheduler=1):
		read_configuration()
		follow(only("scheduler", "paused"))
		frappe.local.conf.pause_scheduler = frappe.get_site_config().get("pause_scheduler")
		assert look() == []


def test_a_site_that_frappe_takes_for_dormant(player, guest):
	assert scheduler.is_dormant() == frappe_versions.SITES_FALL_DORMANT
	make_records(player, 1)
	if frappe_versions.SITES_FALL_DORMANT:
		only("scheduler", "dormant")
	login = {"usr": "Administrator", "pwd": ADMIN_PASSWORD}
	assert guest.request("POST", "/api/method/login", data=login).status_code == 200
	assert look() == []


# MariaDB


@pytest.mark.parametrize(
	("version", "is_supported"),
	[
		("10.6.0-MariaDB", True),
		("10.11.6-MariaDB-0+deb12u1-log", True),
		("11.4.2-MariaDB-ubu2404", True),
		("10.5.99-MariaDB", False),
		("5.5.68-MariaDB", False),
		("8.0.36-0ubuntu0.22.04.1", False),
		("", False),
	],
)
def test_versions(version, is_supported):
	assert doctor.is_supported(version) is is_supported


def test_a_mariadb_that_may_lose_what_it_has_committed():
	bench, setting = current_bench(), "SET GLOBAL innodb_flush_log_at_trx_commit = {}"
	try:
		mariadb.execute(bench, setting.format(2))
		mend = only("mariadb_durable").mend
		mariadb.execute(bench, mend[mend.index("SET GLOBAL") :])
		assert look() == []
	finally:
		mariadb.execute(bench, setting.format(1))


def test_a_clock_that_is_off():
	"""MariaDB's, as this connection sees it."""
	try:
		frappe.db.sql("SET timestamp = UNIX_TIMESTAMP() + 3600")
		only("clocks", "MariaDB")
	finally:
		frappe.db.sql("SET timestamp = DEFAULT")
	assert look() == []


@pytest.mark.parametrize("doctype", tables.INDEXES)
def test_a_partition_that_is_missing(doctype):
	season = make_season().name
	frappe.db.sql_ddl(f"ALTER TABLE `tab{doctype}` DROP PARTITION {tables.partition_name(season)}")
	follow(only("partitions", season))
	assert look() == []
	assert partitions.has_partitions(season)


def test_a_season_that_denies_its_partitions():
	season = make_season().name
	frappe.db.set_value(SEASON, season, "partition_created", 0)
	frappe.db.commit()
	follow(only("partitions", season))
	assert look() == []


def test_a_season_of_long_ago_that_is_not_archived():
	season = make_season(start_date="2001-01-01", end_date="2001-06-01").name
	assert look() == []  # nothing is kept of it
	make_records(make_learner().name, season=season)
	(finding,) = (
		finding for finding in look() if finding.check == "retention"
	)  # a site with answers is dormant, too
	assert f"{season} ended on 2001-06-01" in finding.problem
	assert f"memora archive '{season}'" in finding.mend


def test_a_season_that_is_flagged_and_stays():
	season = make_old()
	assert look() == []
	SRSArchiver().flag_eligible_for_deletion()
	finding = only("retention", season)
	assert f"memora retention --season '{season}'" in finding.mend
	SRSArchiver().delete_eligible_records(season, confirm=True)
	assert look() == []


def test_an_index_that_is_missing():
	frappe.db.sql_ddl("ALTER TABLE `tabPlayer Memory Tracker` DROP INDEX schedule")
	try:
		assert "migrate" in only("partitions", "not partitioned").mend
	finally:
		layout.ensure_layout()  # as migrate does
	assert look() == []


# Time zone


@pytest.mark.parametrize("name", ["Nowhere/Land", "../etc/passwd"])
def test_a_time_zone_that_does_not_exist(player, season, name):
	make_waiting_submission(player, season)
	before = frappe.db.get_single_value("System Settings", "time_zone")
	try:
		set_system("time_zone", name)
		(finding,) = (f for f in look() if f.check == "time_zone")
		assert name in finding.problem
	finally:
		set_system("time_zone", before)
	assert look() == []
