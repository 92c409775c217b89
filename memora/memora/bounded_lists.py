"""Keeps the desk's lists of tracker, journal and archive from reading whole tables.

Frappe calls the hook permission_query_conditions for each list. A filter by `player` becomes a range of the primary key:
a learner's rows are neighbours there. If neither the primary key nor a partition bounds a list, and the table is big, the
list is refused. The message says how to filter and sort instead.
"""

import json
import re
from typing import Any

import frappe
from frappe import _

from memora.exceptions import UnboundedList
from memora.services.learning import learners
from memora.services.store import row_names, tables

SMALL_ROWS = 200_000  # a list may read so many rows, which takes some tenths of a second
# Requests of the desk that read all rows, not a page of them
READ_ALL = ("get_count", "get_group_by_count", "export_query")
BY_NAME = re.compile(r"(`[^`]+`\.)?`?name`?( +(asc|desc))?", re.IGNORECASE)
BOUNDED_FIELDS = {"season", "name"}  # filters under which rows come in the order of the primary key


def of_trackers(user: str) -> str:
	return _condition("Player Memory Tracker")


def of_answers(user: str) -> str:
	return _condition("Player Review Log")


def of_archived(user: str) -> str:
	return _condition("Archived Memory Tracker")


def _condition(doctype: str) -> str:
	"""Returns SQL for the list that this request asks for; empty for other queries. Raises UnboundedList."""
	request = frappe.form_dict
	if not getattr(frappe.local, "request", None) or request.get("doctype") != doctype:
		return ""
	filters = _filters(request.get("filters") or request.get("current_filters"))
	if learner := next((value for field, op, value in filters if (field, op) == ("player", "=")), None):
		return where_player(doctype, learner)
	if not _is_bounded(request, filters) and _rows(doctype) > SMALL_ROWS:
		frappe.throw(
			_(
				"{0} has too many rows for this list. Choose a learner. Without a learner, filter by season only and sort by ID."
			).format(_(doctype)),
			UnboundedList,
		)
	return ""


def where_player(doctype: str, user_or_id: str) -> str:
	"""Returns the SQL condition that selects the rows of a learner, who is named by e-mail or id."""
	learner = learners.look_up(user_or_id)
	return row_names.where_learner(doctype, learner) if learner else "FALSE"


def _is_bounded(request: frappe._dict, filters: list[tuple[str, str, Any]]) -> bool:
	"""Says whether a list asks for the first rows in the order of the primary key."""
	reads_all = frappe.request.path.endswith(READ_ALL)
	in_order = BY_NAME.fullmatch((request.get("order_by") or "name").strip())
	is_bounded = {field for field, _op, _value in filters} <= BOUNDED_FIELDS
	return bool(is_bounded and in_order and not reads_all and not request.get("group_by"))


def _filters(given: Any) -> list[tuple[str, str, Any]]:
	"""Returns (field, operator, value) of each filter, from any of the forms that Frappe accepts."""
	given = json.loads(given) if isinstance(given, str) else given
	if isinstance(given, dict):
		pairs = given.items()
		return [(f, *v) if isinstance(v, list) else (f, "=", v) for f, v in pairs]
	return [tuple(f if len(f) == 3 else f[1:4]) for f in given or []]


def _rows(doctype: str) -> int:
	return sum(partition["rows"] for partition in tables.list_partitions(doctype))
