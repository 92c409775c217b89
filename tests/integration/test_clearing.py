"""Notes of runs and outages, admissions and imports are kept for some time, and then cleared."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import frappe
import pytest

from memora.services.anki import importer
from memora.services.anki.clearing import clear_old_imports
from memora.services.operations.clearing import clear_learners_who_left, clear_old_notes
from memora.services.store import clearing, incident_rows, tables
from tests.integration import state
from tests.integration.anki_decks import DOCTYPE, fresh, imported, make_import
from tests.integration.connections import in_other_connection
from tests.integration.factories import make_user, site_now

TIMES = {
	"Cache Rebuild": "modified",
	"Cache Reconciliation": "started_at",
	"Safe Mode Admission": "creation",
	"Memora Former Address": "until",
	"Safe Mode Incident": "ended_at",
}
MINUTE, MICROSECOND = timedelta(minutes=1), timedelta(microseconds=1)
MOMENT = datetime(2026, 5, 4, 3, 2, 1)


def make(doctype: str, name: str, **values: Any) -> None:
	columns = {"name": name, **values}
	frappe.db.sql(
		f"INSERT INTO `tab{doctype}` ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})",
		tuple(columns.values()),
	)


def names(doctype: str) -> list[str]:
	return [row.name for row in state.rows(doctype)]


@pytest.mark.parametrize("doctype", TIMES)
@pytest.mark.parametrize("rows", [1, 2, 5, 1000])
def test_what_is_old_goes_and_what_is_not_stays(monkeypatch, doctype, rows):
	monkeypatch.setattr(clearing, "ROWS", rows)
	limit = site_now() - timedelta(days=clearing.KEPT_DAYS[doctype])
	for number in range(5):
		make(doctype, f"old-{number}", **{TIMES[doctype]: limit - MINUTE})
	make(doctype, "new", **{TIMES[doctype]: limit + MINUTE})
	frappe.db.commit()
	assert clear_old_notes() == {**dict.fromkeys(TIMES, 0), doctype: 5}
	assert names(doctype) == ["new"]
	assert clear_old_notes()[doctype] == 0


def test_an_incident_that_goes_on_stays_however_old():
	make("Safe Mode Incident", "open", started_at=site_now() - timedelta(days=3000))
	frappe.db.commit()
	clear_old_notes()
	assert names("Safe Mode Incident") == ["open"]


def test_the_counters_of_the_metrics_do_not_fall():
	now, ended = site_now(), site_now() - timedelta(days=401)
	for name, ended_at in (("old-1", ended), ("old-2", ended), ("new", now)):
		make("Safe Mode Incident", name, ended_at=ended_at, requests_served=10, requests_limited=1)
	frappe.db.commit()
	before = incident_rows.get_totals()
	assert before == {"incidents": 3, "served": 30, "limited": 3}
	for _day in range(2):
		clear_old_notes()
		frappe.db.rollback()
		assert names("Safe Mode Incident") == ["new"]
		assert incident_rows.get_totals() == before


@pytest.mark.parametrize("doctype", clearing.OLD)
def test_the_moment_itself_is_not_before_it(doctype):
	for number in range(3):
		make(doctype, f"{number}", **{TIMES[doctype]: MOMENT + (number - 1) * MICROSECOND})
	frappe.db.commit()
	assert clearing.delete_old(doctype, MOMENT) == 1
	assert names(doctype) == ["1", "2"]


# Imports


def test_old_imports_are_found_the_oldest_first():
	for number in (1, 0, 2, 3):
		make("Anki Import", f"{9 - number}", modified=MOMENT + (number - 2) * MICROSECOND)
	assert clearing.get_old_imports(MOMENT) == ["9", "8"]


def age(doc: Any, **values: Any) -> None:
	old = site_now() - timedelta(days=clearing.KEPT_DAYS[DOCTYPE]) - MINUTE
	frappe.db.set_value(DOCTYPE, doc.name, {"modified": old, **values}, update_modified=False)
	frappe.db.commit()


@pytest.mark.parametrize("status", ["Draft", "Completed", "Failed", "Running", "Queued"])
def test_an_old_import_goes_with_its_file_and_problems_and_its_questions_stay(deck, status):
	"""One that is Running or Queued for so long is one whose worker was killed."""
	doc = make_import(deck)
	importer.run_import(doc.name)
	questions = len(imported())
	make("Anki Import Problem", "problem", parent=doc.name, parenttype=DOCTYPE, parentfield="problems")
	path = Path(frappe.get_doc("File", {"file_url": doc.file}).get_full_path())
	age(doc, status=status)
	assert clear_old_imports() == 1
	for doctype in (DOCTYPE, "Anki Import Deck", "Anki Import Problem"):
		assert names(doctype) == []
	assert not state.rows("File", file_url=doc.file)
	assert not state.rows("Deleted Document", deleted_doctype=DOCTYPE, deleted_name=doc.name)
	assert not path.exists()
	assert len(imported()) == questions


def test_a_young_import_stays(deck):
	doc = make_import(deck)
	assert (clear_old_imports(), fresh(doc).status) == (0, "Draft")


def test_a_file_that_serves_something_else_stays(deck):
	"""Frappe stores the same content once."""
	doc = make_import(deck)
	content = {"file_name": deck.name, "is_private": 1, "content": deck.read_bytes()}
	others = frappe.get_doc({"doctype": "File", **content}).insert()
	assert others.file_url == doc.file
	age(doc)
	assert clear_old_imports() == 1
	assert [row.name for row in state.rows("File", file_url=doc.file)] == [others.name]
	assert others.exists_on_disk()


def test_an_import_that_runs_stays(deck):
	doc = make_import(deck)
	cleared = []

	def meanwhile(_done: int) -> None:
		age(doc)
		cleared.append(in_other_connection(clear_old_imports).result(20))

	assert importer.run_import(doc.name, meanwhile)["status"] == "Completed"
	assert set(cleared) == {0}


# Learners


@pytest.fixture
def left() -> Iterator[str]:
	"""The id of a learner whose User was disabled, and of whom nothing is left."""
	frappe.db.delete("Memora Learner")
	yield make_old_learner(make_user(enabled=0))
	frappe.db.rollback()
	frappe.db.delete("Memora Learner")
	frappe.db.commit()


def make_old_learner(user: str | None) -> str:
	name = frappe.generate_hash(length=32)[:16]
	modified = site_now() - timedelta(days=clearing.KEPT_DAYS["Memora Learner"]) - MINUTE
	make("Memora Learner", name, user=user, modified=modified)
	frappe.db.commit()
	return name


def test_a_learner_who_has_left_goes_when_nothing_of_hers_is_left(left, monkeypatch):
	monkeypatch.setattr(clearing, "GONE_SQL", clearing.GONE_SQL.replace("LIMIT 1000", "LIMIT 2"))
	others = [make_old_learner(user) for user in (None, None, "deleted@past.example", None)]
	stays = make_old_learner(make_user())  # her User can sign in
	assert len({left, *others, *names("Memora Learner")}) == 6
	assert clear_learners_who_left() == 5
	assert names("Memora Learner") == [stays]


@pytest.mark.parametrize("doctype", tables.ANY_ROW_SQL)
def test_a_learner_of_whom_anything_is_left_stays(left, season, doctype):
	make(doctype, left.ljust(32, "f"), season=season)
	frappe.db.commit()
	assert (clear_learners_who_left(), names("Memora Learner")) == (0, [left])
	frappe.db.delete(doctype, {"season": season})
	frappe.db.commit()
	assert clear_learners_who_left() == 1


@pytest.mark.parametrize("field", ["modified", "erasing_since"])
def test_a_learner_who_was_changed_lately_or_is_being_erased_stays(left, field):
	frappe.db.set_value("Memora Learner", left, field, site_now(), update_modified=False)
	frappe.db.commit()
	assert (clear_learners_who_left(), names("Memora Learner")) == (0, [left])


def test_an_id_that_others_were_merged_into_goes_after_them(left):
	merged = make_old_learner(None)
	lately = {"merged_into": left, "modified": site_now()}
	frappe.db.set_value("Memora Learner", merged, lately, update_modified=False)
	frappe.db.commit()
	assert clear_learners_who_left() == 0
	frappe.db.set_value("Memora Learner", merged, "modified", "2001-01-01", update_modified=False)
	frappe.db.commit()
	assert clear_learners_who_left() + clear_learners_who_left() == 2  # by their order in one run or in two


@pytest.mark.parametrize("change", [0 * MICROSECOND, MINUTE])
def test_a_learner_who_is_changed_while_others_are_deleted_stays(left, change, monkeypatch):
	frappe.db.sql("UPDATE `tabMemora Learner` SET modified = %s", (MOMENT - MICROSECOND,))
	late = make_old_learner(None)
	for name, modified in ((late, MOMENT - MICROSECOND), (make_old_learner(None), MOMENT)):
		frappe.db.set_value("Memora Learner", name, "modified", modified, update_modified=False)
	frappe.db.commit()
	delete = clearing._delete_if_empty

	def changed_meanwhile(name: str, before: datetime) -> bool:
		if name == late:
			values = (late, "modified", MOMENT + change)
			in_other_connection(lambda: set_committed(*values)).result(20)
		return delete(name, before)

	monkeypatch.setattr(clearing, "_delete_if_empty", changed_meanwhile)
	assert clearing.delete_learners_who_left(MOMENT) == 1
	assert left not in names("Memora Learner")
	assert late in names("Memora Learner")
	assert len(names("Memora Learner")) == 2


def set_committed(name: str, field: str, value: Any) -> None:
	frappe.db.set_value("Memora Learner", name, field, value, update_modified=False)
	frappe.db.commit()


@pytest.mark.parametrize("doctype", tables.ANY_ROW_SQL)
def test_rows_keep_the_learner_whose_they_are_and_nobody_else(left, season, doctype):
	neighbour = f"{int(left, 16) ^ 1:016x}"
	make("Memora Learner", neighbour, modified=MOMENT - timedelta(days=1000))
	make(doctype, neighbour.ljust(32, "0"), season=season)
	frappe.db.commit()
	assert (clear_learners_who_left(), names("Memora Learner")) == (1, [neighbour])
