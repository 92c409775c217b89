"""The patch to the design's layout when it is killed, or when others write meanwhile."""

import os
import signal
import sys
import traceback
from collections.abc import Callable

import frappe
import pytest

from memora.exceptions import PartitionError
from memora.services.store import conversion, database, ddl, layout
from memora.services.store.database import Connection, Cursor
from tests.integration import state
from tests.integration.connections import in_other_connection, on_statements
from tests.integration.factories import make_records
from tests.integration.old_tables import (
	OLD_LEARNER,
	SEASONS,
	TRACKER,
	columns_and_indexes,
	create_statement,
	exists,
	insert,
	kept,
	make_old_rows,
	memory,
	newest,
	old_row,
	run,
	run_patch,
	seasons_of,
	unpartitioned,
)
from tests.integration.test_setup_partitioning import make_season_of_old_site
from tests.integration.waiting import wait_until


def in_child(action: Callable[[], None], statements: int) -> int:
	"""Runs the action in a process of its own that is killed once MariaDB has completed so many statements; its
	exit code, or minus the signal."""
	frappe.db.rollback()
	site, sites_path = frappe.local.site, frappe.local.sites_path
	if pid := os.fork():
		return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
	_inherited = frappe.local.db  # forgotten, it would end the connection of both processes
	try:
		sent: list[str] = []

		def completed(connection: Connection, statement: str) -> None:
			sent.append(statement)
			if len(sent) == statements:
				os.kill(os.getpid(), signal.SIGKILL)

		on_statements(completed)
		frappe.init(site, sites_path=sites_path)
		frappe.connect()
		action()
		sys.stdout.flush()
		os._exit(0)
	except BaseException:
		traceback.print_exc()
		os._exit(1)


def test_a_run_that_is_killed_again_and_again_comes_to_the_same_end(old_tracker, monkeypatch, capfd):
	monkeypatch.setattr(conversion, "CHUNK_ROWS", 300)
	rows = make_old_rows(3000)
	insert(TRACKER, rows)
	codes = []
	while not codes or codes[-1] == -signal.SIGKILL:
		wait_until(lambda: not database.is_locked("setup_partitioning"), "MariaDB to miss the dead run")
		codes.append(in_child(run_patch, statements=20 + 5 * len(codes)))
	output, errors = capfd.readouterr()
	assert codes[-1] == 0, errors
	assert len(codes) > 10
	assert "going on after 300 rows" in output or "going on after 600 rows" in output
	assert memory() == newest(rows)
	assert seasons_of(TRACKER) == {"", *SEASONS}
	assert not exists("memora_partitioning")
	assert columns_and_indexes(f"tab{TRACKER}") == columns_and_indexes(kept(TRACKER))


def test_each_row_is_copied_once_in_pages(old_tracker, monkeypatch):
	monkeypatch.setattr(conversion, "CHUNK_ROWS", 3)
	rows = [old_row(name=name, question_id=f"q-{name}") for name in "abcdefgh"]
	insert(TRACKER, [*rows, old_row(name="bb", player=None)])
	pages, upsert = [], conversion._upsert

	def noted(cursor: Cursor, of: conversion.Conversion, page: list[dict]) -> None:
		pages.append("".join(sorted(row["question_id"][2:] for row in page)))
		upsert(cursor, of, page)

	monkeypatch.setattr(conversion, "_upsert", noted)
	run_patch()
	assert pages == ["ab", "cde", "fgh"]
	assert len(state.rows(TRACKER)) == 8


def before_rename(action: Callable[[], None]) -> Callable[..., None]:
	"""Somebody else uses the old table's last moment."""
	put_in_place = ddl.put_in_place

	def late(*names: str) -> None:
		action()
		put_in_place(*names)

	return late


def test_rows_written_while_the_copy_takes_its_place_are_not_lost(old_tracker, monkeypatch):
	insert(TRACKER, [old_row(), old_row(name="a", question_id="q-2")])

	def answer() -> None:
		run(f"UPDATE `tab{TRACKER}` SET stability = 99, last_review_date = NOW() WHERE name = 'a'")
		insert(TRACKER, [old_row(name="0", question_id="q-3")])

	monkeypatch.setattr(ddl, "put_in_place", before_rename(answer))
	run_patch()
	assert {r.question_id: r.stability for r in state.rows(TRACKER)} == {"q-1": 4.5, "q-2": 99, "q-3": 4.5}


def test_a_run_that_died_between_the_renaming_and_the_end_is_finished(old_tracker, monkeypatch):
	"""Rows were written at the last moment, and newer ones since: the newer ones stay."""
	insert(TRACKER, [old_row(), old_row(name="a", question_id="q-2")])

	def answer() -> None:
		run(f"UPDATE `tab{TRACKER}` SET stability = 99")

	def die(*args) -> None:
		raise KeyboardInterrupt

	with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
		patched.setattr(ddl, "put_in_place", before_rename(answer))
		patched.setattr(conversion, "_copy_what_came_late", die)
		run_patch()
	make_records(OLD_LEARNER, season="SEASON-DEFAULT", question_ids=["q-2"], stability=7)
	run_patch()
	assert {r.question_id: r.stability for r in state.rows(TRACKER)} == {"q-1": 99, "q-2": 7}


def test_how_far_a_dead_run_got_is_not_believed_of_the_next_ones_twin(old_tracker, monkeypatch):
	insert(TRACKER, [old_row(), old_row(name="a", question_id="q-2")])

	def die(*args, **values) -> None:
		raise KeyboardInterrupt

	with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
		patched.setattr(conversion, "_verify", die)
		run_patch()
	make_season_of_old_site("Another")  # for which the twin has no partition
	with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
		patched.setattr(conversion.site_time, "now", die)
		run_patch()
	assert conversion._count("memora_partitioned_player_memory_tracker") == 0
	run_patch()
	assert {row.question_id for row in state.rows(TRACKER)} == {"q-1", "q-2"}


def test_a_table_that_is_written_to_meanwhile_stays_as_it_is(old_tracker, monkeypatch):
	insert(TRACKER, [old_row(), old_row(name="a", question_id="q-2")])
	before = create_statement(f"tab{TRACKER}")
	verify = conversion._verify

	def late(*args) -> None:
		insert(TRACKER, [old_row(name="0", question_id="q-3")])
		verify(*args)

	with monkeypatch.context() as patched, pytest.raises(PartitionError, match="maintenance mode"):
		patched.setattr(conversion, "_verify", late)
		run_patch()
	assert create_statement(f"tab{TRACKER}") == before
	run_patch()
	assert {row.question_id for row in state.rows(TRACKER)} == {"q-1", "q-2", "q-3"}


def test_a_copy_that_lacks_a_row_does_not_take_the_place(old_tracker, monkeypatch):
	insert(TRACKER, [old_row(), old_row(name="a", question_id="q-2")])
	before = create_statement(f"tab{TRACKER}")
	verify = conversion._verify

	def lossy(conversion, names) -> None:
		run(f"DELETE FROM `{conversion.twin}` LIMIT 1")
		verify(conversion, names)

	monkeypatch.setattr(conversion, "_verify", lossy)
	with pytest.raises(PartitionError, match="Different keys in .*: 2. Rows in its copy: 1."):
		run_patch()
	assert create_statement(f"tab{TRACKER}") == before
	assert len(state.rows(TRACKER)) == 2


def test_an_old_table_of_an_earlier_run_is_not_overwritten(old_tracker):
	insert(TRACKER, [old_row()])
	run(f"CREATE TABLE {unpartitioned(TRACKER)} (kept int)")
	with pytest.raises(PartitionError, match=unpartitioned(TRACKER)):
		run_patch()
	assert "kept" in create_statement(unpartitioned(TRACKER))
	assert [row.question_id for row in state.rows(TRACKER)] == ["q-1"]


def test_a_second_run_at_the_same_time_is_refused(old_tracker):
	insert(TRACKER, [old_row()])
	with database.named_lock("setup_partitioning", 0):
		result = in_other_connection(run_patch)
		with pytest.raises(PartitionError, match="Another run"):
			result.result(30)
	assert layout.is_unpartitioned(TRACKER)
