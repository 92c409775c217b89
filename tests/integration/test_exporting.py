"""A learner's export: what is in it, for whom it is, and that it takes no memory."""

import csv
import io
import json
import stat
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import frappe
import pytest

from memora.exceptions import UnknownLearner
from memora.services import site_time
from memora.services.folding import folds
from memora.services.operations import export_guide, exporting
from memora.services.store import admissions, learner_rows
from tests.integration import state
from tests.integration.factories import make_questions, make_record, make_records, make_waiting_submission
from tests.integration.submitting import answers, submit
from tests.integration.test_erasing import Her, archive_of, her, other  # noqa: F401: fixtures

TABLES = ("answers", "records", "archive")


@pytest.fixture
def made(her, other, season, tmp_path) -> ZipFile:  # noqa: F811
	"""The export of a learner who has something of everything, on a site where somebody else learns, too."""
	for who in (her, other):
		archive_of(who)
		make_records(who.id, 5)
		submit(who.id, answers(3))
		folds.fold(state.outbox(who.id)[0].name)
		make_waiting_submission(who.id, season, make_record("q-waiting", reps=3, subject="=1+1"))
		admissions.admit(who.id, 60)
	return export(her.user, tmp_path)


def export(who: str, folder: Path) -> ZipFile:
	frappe.db.rollback()
	return ZipFile(exporting.export_to(who, folder / "her.zip")["file"])


def rows(archive: ZipFile, name: str) -> list[dict[str, Any]]:
	return json.loads(archive.read(f"{name}.json"))


def table(archive: ZipFile, name: str) -> list[dict[str, str]]:
	return list(csv.DictReader(io.TextIOWrapper(archive.open(f"{name}.csv"), "utf-8", newline="")))


def test_all_of_hers_and_nothing_of_others(made, her, other):  # noqa: F811
	assert (len(rows(made, "answers")), len(rows(made, "records")), len(rows(made, "archive"))) == (3, 6, 4)
	assert [row["answers"] for row in rows(made, "days")] == [3]
	assert len(rows(made, "admissions")) == 1
	(learner,) = rows(made, "learner")
	assert (learner["user"], learner["id"]) == her
	content = b"".join(made.read(name) for name in made.namelist())
	assert other.id.encode() not in content
	assert other.user.encode() not in content


def test_records_are_the_trackers_overlaid_with_the_outbox(made):
	found = {row["question_id"]: row for row in rows(made, "records")}
	assert found["q-waiting"]["reps"] == 3
	assert sorted(row["reps"] for row in found.values()) == [1, 1, 2, 2, 2, 3]


def test_a_newer_answer_that_waits_is_the_one_that_counts(her, season, tmp_path):  # noqa: F811
	(record,) = make_records(her.id, 1)
	make_waiting_submission(her.id, season, make_record(record.question_id, reps=7))
	assert [row["reps"] for row in rows(export(her.id, tmp_path), "records")] == [7]


@pytest.mark.parametrize("name", TABLES)
def test_csv_holds_what_json_holds(made, name):
	as_json, as_csv = rows(made, name), table(made, name)
	assert len(as_json) == len(as_csv)
	for row, cells in zip(as_json, as_csv, strict=True):
		assert {k: "" if v is None else str(v) for k, v in row.items()} == {
			k: v.removeprefix("'") for k, v in cells.items()
		}


def test_no_cell_is_a_formula(made):
	subjects = {row["question_id"]: row["subject"] for row in table(made, "records")}
	assert subjects["q-waiting"] == "'=1+1"
	assert {row["question_id"]: row["subject"] for row in rows(made, "records")}["q-waiting"] == "=1+1"


def test_the_guide_names_each_file_and_each_column(made):
	guide = made.read("README.txt").decode()
	assert guide == export_guide.GUIDE
	files = {name for name in made.namelist() if name != "README.txt"}
	assert {name for name in files if name not in guide} == set()
	columns = {
		column for name in files if name.endswith(".json") for row in rows(made, name[:-5]) for column in row
	}
	assert {column for column in columns if column not in guide} == set()


def test_all_settings_of_the_guide_are_in_it(made):
	(settings,) = rows(made, "settings")
	assert list(settings) == list(export_guide.SETTINGS)


def test_who_has_nothing_gets_empty_lists(her, tmp_path):  # noqa: F811
	archive = export(her.user, tmp_path)
	assert [rows(archive, name) for name in TABLES] == [[], [], []]
	assert archive.testzip() is None


def test_the_file_is_for_its_owner_alone_and_appears_whole(her, tmp_path):  # noqa: F811
	file = Path(exporting.export_to(her.id, tmp_path / "her.zip")["file"])
	assert stat.S_IMODE(file.stat().st_mode) == 0o600
	assert [path.name for path in tmp_path.iterdir()] == ["her.zip"]


def test_who_is_no_learner_leaves_no_file(tmp_path):
	with pytest.raises(UnknownLearner):
		exporting.export_to("nobody@learners.example", tmp_path / "x.zip")
	assert list(tmp_path.iterdir()) == []


def test_a_page_of_rows_is_held_at_a_time(her, season, tmp_path, monkeypatch):  # noqa: F811
	make_records(her.id, 25)
	monkeypatch.setattr(learner_rows, "PAGE_ROWS", 10)
	pages, written = [], []
	read_page, plain = learner_rows.read_page, exporting._cell

	def read(*args):
		assert len(written) >= sum(pages), "the rows of the page before are not written yet"
		page = read_page(*args)
		pages.append(len(page))
		return page

	def cell(value):
		written.extend(["row"] if value == season else [])
		return plain(value)

	monkeypatch.setattr(learner_rows, "read_page", read)
	monkeypatch.setattr(exporting, "_cell", cell)
	assert len(rows(export(her.id, tmp_path), "records")) == 25
	assert pages == [10, 10, 5, 0]


# The File of an administrator's export


def test_only_who_asked_may_read_the_file(her, web, each_manager):  # noqa: F811
	owner = frappe.get_all(
		"User", {"api_key": each_manager.session.headers["Authorization"][6:].split(":")[0]}, pluck="name"
	)
	url = exporting.export_for(her.id, "Administrator")["file_url"]
	assert each_manager.request("GET", url).status_code == 403
	url = exporting.export_for(her.id, owner[0])["file_url"]
	fetched = each_manager.request("GET", url)
	assert fetched.status_code == 200
	assert ZipFile(io.BytesIO(fetched.content)).testzip() is None


def test_files_are_deleted_after_some_days(her):  # noqa: F811
	old, new = (exporting.export_for(her.id, "Administrator")["file"] for _ in range(2))
	before = site_time.naive_now() - exporting.timedelta(days=exporting.FILE_DAYS, minutes=1)
	frappe.db.set_value("File", {"file_name": old}, "creation", before)
	exporting.delete_old_files()
	folder = Path(frappe.get_site_path("private", "files"))
	assert (folder / new).exists()
	assert not (folder / old).exists()
	assert frappe.get_all("File", {"file_name": ("like", "memora-%")}, pluck="file_name") == [new]


def test_records_have_the_subject_that_a_question_has_now(her, tmp_path):  # noqa: F811
	names = make_questions(2, subject="Old")
	make_records(her.id, question_ids=names, subject="Old", topic="Old: Topic")
	frappe.rename_doc("Game Subject", "Old", "New", force=True)
	frappe.db.commit()
	assert {row["subject"] for row in rows(export(her.id, tmp_path), "records")} == {"New"}
