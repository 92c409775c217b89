"""Writes all that is stored of a learner into a zip: as JSON, and what comes in many rows also as CSV.

Rows go from MariaDB to the file page by page. A learner's 100,000 answers take no more memory than her first 2,000.
"""

import csv
import hashlib
import io
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile

import frappe

from memora.exceptions import JobFailed
from memora.services import site_time
from memora.services.learning import learners
from memora.services.learning.plain_names import without_formula
from memora.services.operations import admin_jobs
from memora.services.operations.admin_jobs import StartedJob
from memora.services.operations.export_guide import GUIDE, SETTINGS
from memora.services.operations.learner_traces import EXPORT_PREFIX
from memora.services.settings import get_settings
from memora.services.store import database, erasures, learner_rows, row_names
from memora.services.store import learners as stored_learners
from memora.services.store.erasures import Erased
from memora.services.store.learner_rows import Row
from memora.services.store.loops import go_through, tell_of

JOB = "memora.services.operations.exporting.export_for"
FILE_DAYS = 7  # for which an export waits to be fetched
COPY_BYTES = 1 << 20


def export_to(user_or_id: str, path: Path | None = None) -> dict[str, Any]:
	"""Writes a learner's export to a file that only its owner may read, and returns {file, answers, records, archived}.

	Without `path` the file is memora-<id>.zip in the working directory. It appears when it is whole. Raises UnknownLearner,
	LearnerIsErased.
	"""
	learner = _find(user_or_id)
	path = path or Path(f"{EXPORT_PREFIX}{learner.id}.zip")
	part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
	try:
		with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
			counts = write(learner, file)
		part.replace(path)
	finally:
		part.unlink(missing_ok=True)
	return {"file": str(path), **counts}


def start_export(user_or_id: str) -> StartedJob:
	"""Starts the job that makes a private File of a learner's export, for the signed-in user alone.

	Raises UnknownLearner, LearnerIsErased, QueueUnavailable.
	"""
	return admin_jobs.start_admin_job("export", JOB, learner=_find(user_or_id).id, owner=frappe.session.user)


def export_for(learner: str, owner: str) -> dict[str, Any]:
	"""Makes a private File of a learner's export, which `owner` alone may read. Commits. Returns {file_url, answers, …}.

	The File is attached to nothing: whoever may look at a document may read what is attached to it. It is deleted after
	FILE_DAYS days, and when she is erased. Raises UnknownLearner, LearnerIsErased.
	"""
	found = _find(learner)
	name = f"{EXPORT_PREFIX}{found.id}-{secrets.token_hex(8)}.zip"
	path = Path(frappe.get_site_path("private", "files", name))
	counts = export_to(found.id, path)
	try:
		with database.transaction():
			stored_learners.require_kept(found.id)
			_insert_file(path, owner)
	except BaseException:  # no part of an export stays: no document would lead to the file
		path.unlink(missing_ok=True)
		raise
	return {**counts, "file": name, "file_url": f"/private/files/{name}"}


def _insert_file(path: Path, owner: str) -> None:
	"""Frappe's own way would read the whole file into memory."""
	with path.open("rb") as file:
		digest = hashlib.md5(usedforsecurity=False)
		while part := file.read(COPY_BYTES):
			digest.update(part)
	now = site_time.naive_now()
	values = {
		**{"name": secrets.token_hex(5), "file_name": path.name, "file_url": f"/private/files/{path.name}"},
		**{"is_private": 1, "folder": "Home", "file_size": path.stat().st_size, "file_type": "ZIP"},
		**{"content_hash": digest.hexdigest(), "owner": owner, "modified_by": owner},
		**{"creation": now, "modified": now},
	}
	doc = frappe.new_doc("File")
	doc.update(values)
	doc.db_insert()


def delete_old_files() -> None:
	"""Deletes exports that are older than FILE_DAYS days. Runs daily. Commits. Raises JobFailed, in the end, for those that stay."""
	before = site_time.naive_now() - timedelta(days=FILE_DAYS)
	filters = {"file_name": ("like", f"{EXPORT_PREFIX}%.zip"), "attached_to_doctype": ("is", "not set")}
	found = frappe.get_all("File", {**filters, "creation": ("<", before)}, ["name", "file_name"])
	names = [
		row.name for row in found if row_names.is_learner_id(row.file_name.removeprefix(EXPORT_PREFIX)[:16])
	]
	if failed := go_through(names, _delete_file):
		raise JobFailed(tell_of(failed))


def _delete_file(name: str) -> None:
	with database.transaction():
		frappe.delete_doc("File", name, ignore_permissions=True, delete_permanently=True)


# The zip


def write(learner: stored_learners.Learner, file: IO[bytes]) -> dict[str, int]:
	"""Writes the zip to an open file, and returns how many answers and records it holds."""
	with erasures.session() as session:
		her = session.describe(learner.id, learner.user)
	with ZipFile(file, "w", ZIP_DEFLATED) as archive:
		archive.writestr("README.txt", GUIDE)
		_write_json(archive, "learner.json", [_describe(learner, her)])
		_write_json(archive, "settings.json", [{name: getattr(get_settings(), name) for name in SETTINGS}])
		counts = {
			"answers": _write_table(
				archive, "answers", learner_rows.ANSWER_COLUMNS, learner_rows.iterate_answers(her.ids)
			),
			"records": _write_table(
				archive, "records", learner_rows.RECORD_COLUMNS, learner_rows.iterate_records(her.ids)
			),
			"archived": _write_table(
				archive, "archive", learner_rows.ARCHIVE_COLUMNS, learner_rows.iterate_archive(her.ids)
			),
		}
		_write_json(archive, "days.json", learner_rows.get_days(her.ids))
		_write_json(archive, "admissions.json", learner_rows.get_admissions(her.ids))
		_write_json(archive, "imports.json", _imports(her))
	return counts


def _describe(learner: stored_learners.Learner, her: Erased) -> Row:
	return {
		"id": learner.id,
		"user": learner.user,
		"learner_name": learner.learner_name,
		"merged_ids": her.ids[1:],
		"exported_at": site_time.naive_now(),
		"time_zone": get_settings().time_zone,
	}


def _imports(her: Erased) -> list[Row]:
	fields = ["name", "creation", "file", "subject", "status", "reviews", "reviews_imported"]
	return [dict(row) for row in frappe.get_all("Anki Import", {"learner": ("in", her.names)}, fields)]


def _write_table(archive: ZipFile, name: str, columns: Sequence[str], rows: Iterable[Row]) -> int:
	"""Writes name.json and name.csv in one pass through the rows, and returns how many rows there are.

	A zip takes one file after the other, so the CSV waits on the disk until the JSON is whole.
	"""
	with TemporaryFile() as waiting:
		text = io.TextIOWrapper(waiting, "utf-8", newline="")
		table = csv.writer(text)
		table.writerow(columns)
		count = _write_json(archive, f"{name}.json", _also_as_csv(table, columns, rows))
		text.flush()
		waiting.seek(0)
		with archive.open(f"{name}.csv", "w", force_zip64=True) as entry:
			shutil.copyfileobj(waiting, entry, COPY_BYTES)
	return count


def _also_as_csv(table: Any, columns: Sequence[str], rows: Iterable[Row]) -> Iterator[Row]:
	for row in rows:
		table.writerow([_cell(row[column]) for column in columns])
		yield row


def _cell(value: Any) -> Any:
	"""Returns what a cell shows: no text that a spreadsheet would run."""
	return without_formula(value) if isinstance(value, str) else _plain(value)


def _write_json(archive: ZipFile, name: str, rows: Iterable[Row]) -> int:
	"""Writes a list, one row a line, and returns how many rows there are."""
	count = 0
	with archive.open(name, "w", force_zip64=True) as file, io.BufferedWriter(file, COPY_BYTES) as entry:
		entry.write(b"[")
		for count, row in enumerate(rows, start=1):
			text = json.dumps({k: _plain(v) for k, v in row.items()}, ensure_ascii=False)
			entry.write(f"{',' if count > 1 else ''}\n{text}".encode())
		entry.write(b"\n]\n")
	return count


def _plain(value: Any) -> Any:
	"""Returns a value as JSON has it. Dates and datetimes are ISO texts, in naive site time."""
	return str(value) if isinstance(value, date) else value


def _find(user_or_id: str) -> stored_learners.Learner:
	learner = learners.get_learner(user_or_id)
	learners.require_whole(learner)
	return learner
