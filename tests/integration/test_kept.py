"""What an uninstallation keeps and removes, on a site that has Memora all the time. test_uninstall.py does it for real."""

from collections.abc import Iterator

import click
import frappe
import pytest
from frappe.utils import background_jobs

from memora import install, uninstall
from memora.exceptions import KeptDataInTheWay
from memora.services.cache import settling
from memora.services.cache.gateway import Gateway
from memora.services.operations import leftovers
from memora.services.store import ddl, kept, tables
from tests.integration import state
from tests.integration.cleaning import srs_redis
from tests.integration.factories import bank_questions, make_records
from tests.integration.submitting import read

JOURNAL = "tabPlayer Review Log"


@pytest.fixture
def set_aside(player) -> Iterator[str]:
	"""A learner with two records; the tables are kept, as if Frappe had dropped the DocTypes."""
	make_records(player, question_ids=bank_questions()[:2])
	frappe.db.commit()
	try:
		yield player
	finally:
		if kept.is_there():
			ddl.drop(JOURNAL)
			kept.take_back()
			install.layout.ensure_layout()


def layout() -> dict[str, tuple]:
	"""Returns columns and partitions. Frappe's own indexes come and go with each migrate."""
	names = [f"tab{name}" for name in kept.doctypes() if tables.has_table(f"tab{name}")]
	return {
		name: (tables.columns_of(name), [p["name"] for p in tables.partitions_of(name)]) for name in names
	}


def everything() -> tuple:
	"""Ends the transaction, because DDL on another connection waits for it."""
	singles = frappe.db.sql("SELECT doctype, field, value FROM tabSingles ORDER BY doctype, field, value")
	return (
		layout(),
		singles,
		state.rows("Game Question"),
		state.rows("Player Memory Tracker"),
		frappe.db.rollback(),
	)


def test_an_uninstallation_that_broke_off_is_undone_by_the_next_migrate(set_aside):
	before = everything()
	kept.keep()
	assert kept.is_there()
	assert layout() == {}
	install.before_migrate()
	assert not kept.is_there()
	assert everything() == before


def test_answers_beside_those_that_are_kept_are_not_touched(set_aside):
	kept.keep()
	ddl.create_like(JOURNAL, kept.PREFIX + "Player Review Log")
	frappe.db.sql(f"INSERT INTO `{JOURNAL}` (name, season) VALUES ('new', '')")
	frappe.db.commit()
	with pytest.raises(KeptDataInTheWay, match=JOURNAL):
		kept.take_back()
	assert kept.is_there()
	assert tables.table_has_rows(JOURNAL)


def test_jobs_of_memora_go_and_those_of_others_stay(player):
	scheduled = "frappe.core.doctype.scheduled_job_type.scheduled_job_type.run_scheduled_job"
	background_jobs.enqueue("memora.services.folding.folds.sweep_outbox", queue="long", job_id="memora's")
	background_jobs.enqueue(
		scheduled, queue="long", job_id="timed", job_type="memora.services.folding.folds.sweep_outbox"
	)
	background_jobs.enqueue(
		scheduled, queue="long", job_id="others", job_type="frappe.utils.global_search.sync_global_search"
	)
	leftovers.delete_jobs()
	found = [job for job in leftovers.jobs_of_site() if leftovers.is_of_memora(job)]
	assert found == []
	job = background_jobs.get_job("others")
	job.delete()


def test_keys_of_other_sites_stay(player, season):
	read(player)
	others = {"other:srs:generation": "1", "{other:srs:generation}:owner": "x", "srs_of_another_app": "y"}
	before = {key for key in srs_redis().keys("*srs*") if not Gateway().keys.is_own(key)}
	for key, value in others.items():
		srs_redis().set(key, value)
	try:
		settling.delete_keys()
		assert {*srs_redis().keys("*srs*")} == before | others.keys()
		assert {key: srs_redis().get(key) for key in others} == others
	finally:
		srs_redis().delete(*others)


@pytest.mark.parametrize("chosen", ["keep", "delete"])
def test_scripts_choose_by_a_variable(monkeypatch, chosen):
	assert uninstall._choose(is_yes=True) == "keep"
	monkeypatch.setenv(uninstall.VARIABLE, chosen)
	assert uninstall._choose(is_yes=True) == chosen


def test_a_mistyped_choice_is_refused(monkeypatch):
	monkeypatch.setenv(uninstall.VARIABLE, "no")
	with pytest.raises(click.ClickException, match="no, neither keep nor delete"):
		uninstall._choose(is_yes=True)
