import operator
from collections.abc import Callable
from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import cint, cstr, get_filter
from redis.exceptions import RedisError

from memora.exceptions import InvalidFilter, quoting
from memora.services.learning import learners
from memora.services.operations import admin_jobs, write_queue
from memora.services.operations.write_queue import WriteJob

DOCTYPE = "SRS Write Job"


def _is_like(value: Any, wanted: Any) -> bool:
	return cstr(wanted).strip("%").lower() in cstr(value).lower()


FIELDS = ("name", "status", "player", "season", "not_folded")  # that a list can be filtered by
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
	"=": operator.eq,
	"!=": operator.ne,
	"in": lambda value, wanted: value in wanted,
	"not in": lambda value, wanted: value not in wanted,
	"like": _is_like,
	"not like": lambda value, wanted: not _is_like(value, wanted),
}


class SRSWriteJob(Document):
	"""A view of operations/write_queue. Nothing is stored here. Only retry_write_job changes what the view shows."""

	def load_from_db(self) -> None:
		try:
			found = write_queue.get_write_job(self.name)
		except RedisError as error:
			admin_jobs.refuse(error)
		if not found:
			raise frappe.DoesNotExistError
		super(Document, self).__init__(_as_row(found))

	@staticmethod
	def get_list(args: dict[str, Any]) -> "list[frappe._dict] | _Query":
		"""Returns rows with all fields, in write_queue's order even if `order_by` is given. Raises InvalidFilter.

		Frappe 16's /api/v2 passes a query, and runs what it gets back.
		"""
		if not isinstance(args, dict):
			return _Query()
		return _rows(args)

	@staticmethod
	def get_count(args: dict[str, Any]) -> int:
		"""Returns the number of rows that match, at most write_queue.LOOK_AT_MOST."""
		return len(_find(args))

	@staticmethod
	def get_stats(args: dict[str, Any]) -> dict[str, Any]:
		return {}

	def db_insert(self, *args: Any, **kwargs: Any) -> None:
		self._refuse()

	def db_update(self, *args: Any, **kwargs: Any) -> None:
		self._refuse()

	def delete(self, *args: Any, **kwargs: Any) -> None:
		self._refuse()

	def _refuse(self) -> None:
		frappe.throw(
			_("{0} only shows the queue. It can't be changed here.").format(_(DOCTYPE)),
			frappe.PermissionError,
		)


class _Query:
	"""Stands for a query of the table that this DocType does not have. Its filters are those of the request."""

	def run(self, **options: Any) -> list[frappe._dict]:
		"""Returns a page and the first row of the next page. Raises PermissionError, InvalidFilter."""
		asked = frappe.form_dict
		filters = frappe.parse_json(asked.get("filters"))
		limit = cint(asked.get("limit", 20)) + 1
		return _rows({"filters": filters, "start": asked.get("start"), "page_length": limit})


def _rows(args: dict[str, Any]) -> list[frappe._dict]:
	start = cint(args.get("start") or args.get("limit_start"))
	limit = cint(args.get("page_length") or args.get("limit_page_length"))
	return [_as_row(job) for job in _find(args, max(0, start), limit if limit > 0 else None)]


def _find(args: dict[str, Any], start: int = 0, limit: int | None = None) -> list[WriteJob]:
	_require_permission()
	filters = _parse_filters(args.get("filters") or [])
	statuses = {status for status in write_queue.STATUSES if _passes(status, filters.get("status", []))}

	def matches(job: WriteJob) -> bool:
		return all(_passes(getattr(job, field), conditions) for field, conditions in filters.items())

	page = write_queue.find_write_jobs(matches, statuses, start, limit)
	_tell_what_is_missing(page)
	return page.jobs


def _require_permission() -> None:
	"""Raises PermissionError if the user may not read. Frappe's list does not check this for a virtual DocType."""
	if not frappe.has_permission(DOCTYPE):
		frappe.throw(_("No permission for {0}").format(_(DOCTYPE)), frappe.PermissionError)


def _parse_filters(given: Any) -> dict[str, list[tuple[str, Any]]]:
	"""Returns Frappe's filters as {field: [(operator, value)]}. Raises InvalidFilter."""
	items = [{key: value} for key, value in given.items()] if isinstance(given, dict) else given
	filters: dict[str, list[tuple[str, Any]]] = {}
	for f in (get_filter(DOCTYPE, item) for item in items):
		name = f.operator.lower()
		if f.fieldname not in FIELDS or name not in OPERATORS:
			_refuse_filter(f.fieldname, name)
		filters.setdefault(f.fieldname, []).append((name, _operand(f.fieldname, name, f.value)))
	return filters


def _operand(field: str, operator_: str, value: Any) -> Any:
	"""Returns what a filter compares with: for `in` a list, even if the client sent a text with commas."""
	read = {"not_folded": cint, "player": _learner}.get(field, cstr)
	if operator_ not in ("in", "not in"):
		return read(value)
	return [read(one) for one in (value if isinstance(value, list | tuple) else cstr(value).split(","))]


def _learner(value: Any) -> str:
	"""Returns the id of a learner who is named by id or e-mail; other texts as they are."""
	return learners.look_up(cstr(value)) or cstr(value)


def _refuse_filter(field: str, operator_: str) -> None:
	frappe.throw(
		quoting(
			_("{0} can be filtered by {1} with {2}, not by {3} with {4}."),
			_(DOCTYPE),
			", ".join(FIELDS),
			", ".join(OPERATORS),
			field,
			operator_,
		),
		InvalidFilter,
	)


def _passes(value: Any, conditions: list[tuple[str, Any]]) -> bool:
	return all(OPERATORS[operator_](value, wanted) for operator_, wanted in conditions)


def _tell_what_is_missing(page: write_queue.Page) -> None:
	if page.unreachable:
		message = _("The Redis for the queue can't be reached. Submissions are shown without their jobs: {0}")
		frappe.msgprint(quoting(message, page.unreachable), alert=True, indicator="red")
	if not page.is_whole:
		message = _("Only the first {0} were searched.")
		frappe.msgprint(quoting(message, write_queue.LOOK_AT_MOST), alert=True, indicator="orange")


def _as_row(job: WriteJob) -> frappe._dict:
	"""Returns a job's fields, and the fields that the desk expects of every document."""
	row = job.as_dict()
	times = {
		"creation": row["accepted_at"],
		"modified": row["ended_at"] or row["started_at"] or row["accepted_at"],
	}
	return frappe._dict(
		row, doctype=DOCTYPE, docstatus=0, owner="Administrator", modified_by="Administrator", **times
	)
