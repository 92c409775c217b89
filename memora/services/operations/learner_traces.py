"""Removes what names a learner outside of the tables of answers: documents, files, Frappe's logs, jobs and log files.

Each function takes all that names her (ids, and her User if she has one), removes what it finds, and returns how much that
was. Each may be repeated. What is stored as Frappe's documents goes with the caller's transaction.
"""

import gzip
import mmap
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import frappe
from frappe.utils import background_jobs
from rq import get_current_job
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.job import Job, JobStatus
from rq.queue import Queue

from memora.services.folding import queueing
from memora.services.store import former_addresses

LEARNER = "Memora Learner"
PREPARED, IMPORT, FILE = "Prepared Report", "Anki Import", "File"
EXPORT_PREFIX = "memora-"  # of the names of her exports, before her id
CHUNK_BYTES = 1 << 20
CHUNK_JOBS = 100
WAIT_FOR_JOBS_SECONDS = 20
REGISTRIES = ("started", "finished", "failed", "deferred", "scheduled", "canceled")

# Columns of Frappe's in which a row of hers is named: with an index, by the beginning of the row's name
NAMED_ROWS = {
	"Comment": "reference_name",
	"Communication": "reference_name",
	"DocShare": "share_name",
	"Version": "docname",
	"View Log": "reference_name",
	"Activity Log": "reference_name",
	"Notification Log": "document_name",
	"ToDo": "reference_name",
}
# Logs of Frappe's, which it clears after a time, and lists' settings: an id may stand anywhere in a text
TEXTS = {
	"Route History": ("route",),
	"Access Log": ("reference_document", "filters", "page"),
	"Error Log": ("error", "method"),
	"Scheduled Job Log": ("details",),
	"Deleted Document": ("deleted_name", "data"),
	"__UserSettings": ("data",),
}
USER_SETTINGS = "_user_settings"  # Frappe's hash of lists' settings in its cache


def forget_former_addresses(ids: Sequence[str]) -> int:
	"""Deletes the notes of the addresses that she had before."""
	count = 0
	for learner in ids:
		former_addresses.forget_learner(learner)
		count += frappe.db._cursor.rowcount
	return count


def delete_imports(names: Sequence[str]) -> int:
	"""Deletes the imports of her review history, and the decks that hold it. Their questions stay."""
	found = frappe.get_all(IMPORT, filters={"learner": ("in", names)}, fields=["name", "file"])
	for doc in found:
		_delete_files({"attached_to_doctype": IMPORT, "attached_to_name": doc.name})
		_delete_files({"file_url": doc.file or "-", "attached_to_doctype": ("is", "not set")})
		_delete(IMPORT, doc.name)
	return len(found)


def delete_reports(names: Sequence[str]) -> int:
	"""Deletes the prepared reports on Memora's DocTypes whose rows or filters name her."""
	found = [name for name in _reports_of_memora() if _names_her(name, names)]
	for name in found:
		_delete_files({"attached_to_doctype": PREPARED, "attached_to_name": name})
		_delete(PREPARED, name)
	return len(found)


def _reports_of_memora() -> list[str]:
	ours = frappe.get_all("DocType", filters={"module": "Memora"}, pluck="name")
	reports = frappe.get_all(
		"Report", or_filters={"module": "Memora", "ref_doctype": ("in", ours)}, pluck="name"
	)
	return frappe.get_all(PREPARED, filters={"report_name": ("in", reports)}, pluck="name")


def _names_her(prepared: str, names: Sequence[str]) -> bool:
	if _holds(str(frappe.db.get_value(PREPARED, prepared, "filters")), names):
		return True
	attached = {"attached_to_doctype": PREPARED, "attached_to_name": prepared}
	paths = [_path_of(url) for url in frappe.get_all(FILE, filters=attached, pluck="file_url")]
	return any(_file_holds(path, names) for path in paths if path.is_file())


def _file_holds(path: Path, names: Sequence[str]) -> bool:
	"""Reads a file, unpacked if it is packed, some at a time: a report on a whole school is large."""
	opened: Any = gzip.open(path) if path.suffix == ".gz" else path.open("rb")
	with opened as file:
		return any(_holds(text, names) for text in _overlapping(file, max(map(len, names))))


def _overlapping(file: IO[bytes], overlap: int) -> Iterator[str]:
	"""Yields the text of a file in parts, each with the end of the part before it."""
	end = b""
	while part := file.read(CHUNK_BYTES):
		yield (end + part).decode("utf-8", "replace")
		end = part[-overlap:]


def delete_exports(ids: Sequence[str]) -> int:
	"""Deletes the exports of her data, and what else is attached to her Memora Learner."""
	exports = sum(_delete_files({"file_name": ("like", f"{EXPORT_PREFIX}{learner}-%")}) for learner in ids)
	return exports + _delete_files({"attached_to_doctype": LEARNER, "attached_to_name": ("in", ids)})


def delete_notes_of_frappe(ids: Sequence[str]) -> int:
	"""Deletes what Frappe has noted beside her rows, and the lines of its logs that name an id of hers."""
	count = 0
	for learner in ids:
		for doctype, column in NAMED_ROWS.items():
			count += _delete_rows(doctype, column, f"{learner}%")
		for doctype, columns in TEXTS.items():
			count += sum(_delete_rows(doctype, column, f"%{learner}%") for column in columns)
	return count + _forget_settings_of_lists(ids)


def _delete_rows(doctype: str, column: str, pattern: str) -> int:
	if not doctype.startswith("__") and not _has_column(doctype, column):
		return 0
	frappe.db.delete(doctype, {column: ("like", pattern)})
	return frappe.db._cursor.rowcount


def _has_column(doctype: str, column: str) -> bool:
	"""Versions of Frappe differ."""
	return frappe.db.table_exists(doctype) and frappe.db.has_column(doctype, column)


def _forget_settings_of_lists(ids: Sequence[str]) -> int:
	cache = frappe.cache()
	stored = cache.hgetall(USER_SETTINGS) or {}
	found = [key for key, value in stored.items() if _holds(str(value), ids)]
	for key in found:
		cache.hdel(USER_SETTINGS, key.decode() if isinstance(key, bytes) else key)
	return len(found)


def _delete_files(filters: dict[str, Any]) -> int:
	names = frappe.get_all(FILE, filters=filters, pluck="name")
	for name in names:
		frappe.delete_doc(FILE, name, force=True, ignore_permissions=True, delete_permanently=True)
	return len(names)


def _delete(doctype: str, name: str) -> None:
	"""Deletes a document without keeping a copy, whatever its own rules say: a running import is refused its rows anyway."""
	options = {"ignore_on_trash": True, "ignore_permissions": True, "delete_permanently": True}
	frappe.delete_doc(doctype, name, force=True, **options)


def _path_of(url: str) -> Path:
	folder = "" if url.startswith("/private/") else "public"
	return Path(frappe.get_site_path(folder, url.lstrip("/")))


def _holds(text: str, names: Iterable[str]) -> bool:
	return any(name in text for name in names)


# Jobs


def delete_jobs(names: Sequence[str]) -> int:
	"""Deletes Memora's jobs of this site that name her, whatever has become of them.

	Waits WAIT_FOR_JOBS_SECONDS for those that run; RQ forgets one that runs longer by itself. Raises RedisError.
	"""
	queueing.reach_queue()
	deadline, count = time.monotonic() + WAIT_FOR_JOBS_SECONDS, 0
	while found := [job for job in jobs_of_site() if _is_hers(job, names)]:
		over = [job for job in found if job.get_status(refresh=False) != JobStatus.STARTED]
		for job in over:
			job.delete()
		count += len(over)
		if len(over) == len(found) or time.monotonic() > deadline:
			break
		time.sleep(0.2)
	_forget_waiting_job(names)
	return count


def _forget_waiting_job(names: Sequence[str]) -> None:
	"""Deletes the note that a job of hers waits: it names her submission, for a few seconds."""
	connection, key = background_jobs.get_redis_conn(), queueing.job_waits_key()
	if _holds((connection.get(key) or b"").decode(), names):
		connection.delete(key)


def jobs_of_site() -> Iterator[Job]:
	"""Yields the jobs of this site in all queues, whatever has become of them. Raises RedisError."""
	site = queueing.job_id_of("*").removesuffix("*")
	for queue in Queue.all(connection=background_jobs.get_redis_conn()):
		for ids in _ids(queue):
			own = [job_id for job_id in ids if job_id.startswith(site)]
			for start in range(0, len(own), CHUNK_JOBS):
				yield from _fetch(own[start : start + CHUNK_JOBS], queue)


def _ids(queue: Queue) -> Iterator[list[str]]:
	yield queue.get_job_ids()
	for name in REGISTRIES:
		yield getattr(queue, f"{name}_job_registry").get_job_ids()


def _fetch(ids: list[str], queue: Queue) -> Iterator[Job]:
	try:
		yield from filter(None, Job.fetch_many(ids, connection=queue.connection))
	except NoSuchJobError:  # one job is damaged; asking for each by itself finds out which
		site = queueing.job_id_of("*").removesuffix("*")
		yield from filter(None, (background_jobs.get_job(job_id.removeprefix(site)) for job_id in ids))


def _is_hers(job: Job, names: Sequence[str]) -> bool:
	own = get_current_job()
	if own and job.id == own.id:
		return False
	return is_of_memora(job) and _holds(f"{job.id} {job.description} {_arguments(job)}", names)


def is_of_memora(job: Job) -> bool:
	"""Says whether a job runs a function of Memora: by itself, or for the scheduler."""
	method, given = _arguments(job).get("method"), _arguments(job).get("kwargs") or {}
	names = getattr(method, "__module__", method), given.get("job_type")
	return any(str(name).startswith("memora.") for name in names)


def _arguments(job: Job) -> dict[str, Any]:
	try:
		return job.kwargs
	except DeserializationError:
		return {}


# Log files


def redact_logs(ids: Sequence[str], user: str | None) -> int:
	"""Overwrites her ids in the bench's and the site's log files on this host, and her User in Memora's own.

	Characters are overwritten in place, so a process that is writing to the file goes on. Returns how many places.
	"""
	folders = [Path(frappe.utils.get_bench_path(), "logs"), Path(frappe.get_site_path("logs"))]
	count = 0
	for path in (path for folder in folders for path in folder.glob("*.log*") if path.is_file()):
		names = [*ids, *([user] if user and path.name.startswith("memora.") else [])]
		count += _overwrite(path, [name.encode() for name in names]) if path.stat().st_size else 0
	return count


def _overwrite(path: Path, names: Sequence[bytes]) -> int:
	count = 0
	with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
		for name in names:
			at = content.find(name)
			while at >= 0:
				content[at : at + len(name)] = b"*" * len(name)
				count += 1
				at = content.find(name, at + len(name))
	return count
