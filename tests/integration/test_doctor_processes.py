"""The doctor finds workers, scheduled jobs, passwords, a mode and files that are not as they should be. See test_doctor.py."""

import json
import os
import signal
from datetime import datetime, timedelta, timezone
from pathlib import Path

import frappe
import pytest
from frappe.utils import now_datetime

from devtools import processes
from memora.services import settings
from memora.services.operations import doctor, doctor_site, job_types, redis_servers, workers
from tests.integration.site_config import changed, site_config
from tests.integration.test_commands import run_json
from tests.integration.test_doctor import (  # noqa: F401
	CACHE,
	QUEUE,
	SRS,
	common_config,
	follow,
	look,
	only,
	read_configuration,
	redis_server,
	with_scheduler,
)

TYPE = "Scheduled Job Type"
FOLD = "memora.services.folding.folds.sweep_outbox"


@pytest.fixture(autouse=True)
def _everything_is_asked(with_scheduler):  # noqa: F811
	frappe.local.conf[doctor.ACCEPTED] = []


@pytest.fixture(scope="module")
def worker():
	with processes.worker(doctor.doctor_scheduler.NEEDED_QUEUES) as worker:
		yield worker


@pytest.fixture
def jobs_ran():
	"""As if the scheduler had just run all of them."""
	frappe.db.sql(
		f"UPDATE `tab{TYPE}` SET creation = %(now)s, last_execution = %(now)s", {"now": now_datetime()}
	)
	frappe.db.commit()


def set_job(**values):
	frappe.db.set_value(TYPE, {"method": FOLD}, values, update_modified=False)
	frappe.db.commit()


def test_queues_without_a_worker(jobs_ran):
	"""Before the other tests' worker begins."""
	with processes.worker(["long", "default"]) as half:
		assert only("queue_workers", "No worker serves the queue srs_write").mend.endswith(
			"bench worker --queue srs_write"
		)
		os.kill(half.pid, signal.SIGKILL)
		half.process.wait()
		assert [finding.check for finding in look()] == [
			"queue_workers"
		] * 3, "Redis lists the killed worker for minutes"


def test_nothing_is_wrong_while_all_runs(worker, jobs_ran):
	assert look() == []
	(born,) = workers.get_alive()["srs_write"]
	assert timedelta() <= datetime.now(timezone.utc) - born < timedelta(minutes=10)


def test_status_says_since_when_workers_are_alive_and_when_jobs_began(worker, jobs_ran):
	now = now_datetime()
	_code, found = run_json("status")
	assert [(row["queue"], row["workers"]) for row in found["workers"]] == [
		("default", 1),
		("long", 1),
		("srs_write", 1),
	]
	time, _space, zone = found["site_time"].rpartition(" ")
	assert (
		zone,
		timedelta(0) <= datetime.fromisoformat(time) - now.replace(microsecond=0) < timedelta(minutes=1),
	) == (
		"Asia/Kolkata",
		True,
	)
	ago = now - datetime.fromisoformat(found["workers"][0]["oldest_since"])
	assert timedelta(seconds=-1) <= ago < timedelta(minutes=10)
	last = {row["job"]: datetime.fromisoformat(row["last_run"]) for row in found["scheduled_jobs"]}
	assert now - last[FOLD] < timedelta(minutes=10)


# Scheduled jobs


def test_a_job_that_is_late(worker, jobs_ran):
	set_job(last_execution=now_datetime() - timedelta(minutes=14))
	assert look() == []
	set_job(last_execution=now_datetime() - timedelta(minutes=17))
	assert "bench schedule" in only("scheduled_jobs", "jobs are late: 1. ", FOLD).mend


def test_a_job_that_is_stopped(worker, jobs_ran):
	set_job(stopped=1)
	try:
		only("scheduled_jobs", "stopped", FOLD)
	finally:
		set_job(stopped=0)


def test_jobs_that_were_made_by_the_clock_of_another_zone(worker, jobs_ran):
	tomorrow = now_datetime() + timedelta(hours=13)
	frappe.db.sql(f"UPDATE `tab{TYPE}` SET creation = %s, last_execution = NULL", (tomorrow,))
	frappe.db.commit()
	finding = only("scheduled_jobs", "begin only on", str(tomorrow.replace(microsecond=0)))
	assert finding.mend.endswith("migrate")
	job_types.begin_now()  # which migrate does
	frappe.db.commit()
	assert look() == []
	assert job_types.get_due()[FOLD] <= now_datetime() + timedelta(minutes=1)


def test_another_time_zone_in_system_settings_lets_jobs_begin(worker, jobs_ran, restored_zone):
	"""A site is installed with Frappe's zone, and gets its own from the setup wizard."""
	set_zone("America/Los_Angeles")
	assert job_types.get_ahead(now_datetime()) == {}


@pytest.fixture
def restored_zone():
	before = frappe.db.get_single_value("System Settings", "time_zone")
	yield
	frappe.db.rollback()
	set_zone(before)


def set_zone(zone: str) -> None:
	doc = frappe.get_doc("System Settings")
	doc.language = doc.language or "en"
	doc.time_zone = zone
	doc.save()
	frappe.db.commit()
	settings.forget_settings()


# Redis


@pytest.mark.parametrize("where", [SRS, QUEUE, CACHE])
def test_a_redis_that_wants_a_password(redis_server, where, worker, jobs_ran):  # noqa: F811
	frappe.local.conf[where] = redis_server
	client = redis_servers.connect(redis_server)
	client.config_set("requirepass", "secret")
	finding = only("redis_reachable", where, "it wants a password that its URL lacks")
	written = redis_server.replace("//", "//<user>:<password>@")
	assert finding.mend.endswith(f": bench set-config -g {where} '{written}'")
	frappe.local.conf[where] = redis_server.replace("//", "//:secre@")
	finding = only("redis_reachable", where, "it does not know the user or password")
	assert f"set-config -g {where}" in finding.mend
	frappe.local.conf[where] = redis_server.replace("//", "//:secret@")
	assert look() == []
	client.config_set("requirepass", "")
	finding = only("redis_reachable", where, "it has no password, and its URL has one")
	with common_config() as path:
		follow(finding)
		assert json.loads(path.read_text())[where] == redis_server


# Mode and files


def own_file():
	return changed(Path(frappe.get_site_path("site_config.json")), maintenance_mode=1)


def common_file():
	return changed(Path(frappe.local.sites_path) / "common_site_config.json", maintenance_mode=1)


@pytest.mark.parametrize("where", [own_file, common_file])
def test_maintenance(worker, jobs_ran, where):
	with where():
		read_configuration()
		follow(only("maintenance", "503"))
		frappe.local.conf.maintenance_mode = frappe.get_site_config().get("maintenance_mode")
		assert look() == []


@pytest.mark.parametrize("key", doctor_site.SWITCHES)
def test_a_site_that_bench_update_would_not_stop(worker, jobs_ran, key):
	"""As set-maintenance-mode off leaves it."""
	with site_config(**{key: 0}):
		follow(only("maintenance", f"{key} in site_config.json"))
		assert look() == []


def test_files_of_the_desk_that_were_not_built(worker, jobs_ran, built):
	assert look() == []
	os.utime(built, (1, 1))  # as after an update without a build
	assert only("assets", "memora.bundle.js").mend == "bench build --app memora"
	manifest = Path(frappe.local.sites_path) / "assets/assets.json"
	with changed(manifest, **{"memora.bundle.js": "/assets/memora/dist/js/gone.js"}):
		forget_assets()
		only("assets", "memora.bundle.js")


@pytest.mark.skipif(not doctor_site.HAS_DESK.exists(), reason="this Frappe has no desk to be built")
def test_a_desk_that_was_never_built(worker, jobs_ran):
	manifest = Path(frappe.local.sites_path, doctor_site.MANIFEST)
	aside = manifest.rename(manifest.with_suffix(".aside"))
	try:
		forget_assets()
		assert only("assets", "never built").mend == "bench build"
	finally:
		aside.rename(manifest)
		forget_assets()


@pytest.fixture
def built():
	"""A bundle as `bench build` leaves it, of a desk that is built. CI's Frappe has none."""
	folder = Path(frappe.local.sites_path) / "assets"
	names = {name: f"/assets/{name}" for name in (doctor_site.OF_FRAPPE, *doctor_site.BUNDLES)}
	for path in names.values():
		(folder.parent / path.lstrip("/")).touch()
	with changed(folder / "assets.json", **names):
		forget_assets()
		yield folder / "memora.bundle.js"
	for path in names.values():
		(folder.parent / path.lstrip("/")).unlink()
	forget_assets()


def forget_assets():
	if hasattr(frappe.local, "assets_json"):
		del frappe.local.assets_json
	for cache in (frappe.cache(), getattr(frappe, "client_cache", None)):  # Frappe 16 has both
		if cache:
			cache.delete_value("assets_json", shared=True)
