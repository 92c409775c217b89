"""Installation and migration do more than lay out the tables."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click
import frappe
import pytest
from frappe.utils.background_jobs import get_queues_timeout

import memora
from devtools import sites
from devtools.paths import MAIN_SITE, current_bench
from memora import install
from memora.services.cache.connections import place
from memora.services.operations import doctor
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import versions
from tests.integration import state
from tests.integration.site_config import site_config
from tests.integration.submitting import answers, submit


def config_on_disk() -> dict:
	path = Path(frappe.local.sites_path) / frappe.local.site / "site_config.json"
	return json.loads(path.read_text())


@pytest.fixture
def shared_redis():
	"""The test site keeps its schedules where the main site has its own."""
	main = frappe.get_site_config(site_path=str(Path(frappe.local.sites_path) / MAIN_SITE))
	with site_config(srs_redis_cache=place(main).url):
		frappe.local.conf.srs_redis_cache = place(main).url
		yield


def test_a_site_with_a_redis_of_its_own_has_no_namespace():
	install._set_redis_namespace()
	assert "srs_redis_namespace" not in config_on_disk()
	assert SRSRedisManager().schedules.keys.prefix == ""


def test_a_site_that_shares_its_redis_gets_its_name_for_a_namespace(shared_redis, player):
	install._set_redis_namespace()
	assert config_on_disk()["srs_redis_namespace"] == frappe.local.site
	assert SRSRedisManager()._make_key(player, "season") == f"{frappe.local.site}:srs:{player}:season"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_a_redis_is_one_server_however_it_is_named(host):
	main = frappe.get_site_config(site_path=str(Path(frappe.local.sites_path) / MAIN_SITE))
	url = urlsplit(place(main).url)
	with site_config():
		frappe.local.conf.srs_redis_cache = f"redis://{host}:{url.port}{url.path}"
		install._set_redis_namespace()
		assert config_on_disk()["srs_redis_namespace"] == frappe.local.site


def test_a_namespace_that_was_chosen_stays(shared_redis):
	frappe.local.conf.srs_redis_namespace = "chosen"
	install._set_redis_namespace()
	assert "srs_redis_namespace" not in config_on_disk()
	assert SRSRedisManager().schedules.keys.prefix == "chosen:"


def test_after_migrate_changes_nothing_the_second_time(season):
	def layout() -> list:
		names = ("Player Memory Tracker", "Player Review Log", "Archived Memory Tracker", "Review Outbox")
		return [frappe.db.sql(f"SHOW CREATE TABLE `tab{name}`")[0][1] for name in names]

	before = (layout(), state.rows("List View Settings"), state.everything())
	install.after_migrate()
	frappe.db.commit()
	assert (layout(), state.rows("List View Settings"), state.everything()) == before


@pytest.fixture
def without_queue():
	"""A bench whose `workers` do not list the queue; Frappe reads them once in a process."""
	frappe.local.conf.workers = {}
	get_queues_timeout.cache_clear()
	yield
	get_queues_timeout.cache_clear()


def test_a_bench_with_the_queue_is_told_nothing(capsys):
	install._look_for_queue()
	assert capsys.readouterr().out == ""


def test_a_bench_without_the_queue_is_told_what_is_missing(without_queue, capsys):
	install._look_for_queue()
	assert "srs_write" in capsys.readouterr().out


def test_a_bench_without_the_queue_uses_another(without_queue, player):
	assert submit(player, answers(1))["persistence_job_id"]
	((queue, jobs),) = state.queued_jobs().items()
	assert queue.endswith(":short")
	assert len(jobs) == 1


def test_settings_saved_by_an_earlier_release_get_what_is_new():
	frappe.get_single("Memora Settings").update({"new_per_day": 7}).save()
	frappe.db.delete("Singles", {"doctype": "Memora Settings", "field": "queue_critical_jobs"})
	install.after_migrate()
	frappe.db.commit()
	frappe.clear_document_cache("Memora Settings", "Memora Settings")
	saved = frappe.get_single("Memora Settings")
	assert (saved.new_per_day, saved.queue_critical_jobs) == (7, 5000)
	saved.save()


LATER = {"version": {"version": "99.0.0"}, "patch": {"patches": ["memora.patches.v9_9.later"]}}


@contextmanager
def noted(values: dict) -> Iterator[None]:
	"""The database as a later version leaves it."""
	before = versions._noted()
	frappe.db.set_global(versions.KEY, json.dumps({**before, **values}))
	frappe.db.commit()
	try:
		yield
	finally:
		frappe.db.set_global(versions.KEY, json.dumps(before))
		frappe.db.commit()


@pytest.mark.parametrize(
	("values", "named"), zip(LATER.values(), ("99.0.0", "v9_9.later"), strict=True), ids=LATER
)
def test_code_that_is_older_than_the_database_changes_nothing(values, named):
	with noted(values):
		with state.nothing_changes(), pytest.raises(click.ClickException) as refused:
			install.before_migrate()
		(finding,) = [finding for finding in doctor.examine() if finding.check == "code_version"]
	assert named in refused.value.message
	assert f"of {frappe.local.site} is of Memora" in refused.value.message
	assert f"this code is older: {memora.__version__}" in refused.value.message
	assert finding.problem in refused.value.message


def test_older_code_ends_the_migration_with_a_sentence():
	with noted(LATER["version"]):
		command = sites.bench_command(current_bench(), "--site", frappe.local.site, "migrate")
		done = subprocess.run(command, cwd=current_bench().sites, capture_output=True, text=True)
	assert done.returncode == 1
	assert done.stderr.startswith("Error: The database of")


def test_a_migration_notes_what_it_was_of():
	frappe.defaults.clear_default(key=versions.KEY, parent="__global")
	frappe.db.set_value(versions.OF_FRAPPE, {"app_name": "memora"}, "app_version", "0.9.0")
	assert versions.find_newer() is None
	assert versions.get_new() == versions.get_known() > set()
	install.after_migrate()
	assert versions.get_new() == set()
