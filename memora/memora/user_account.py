"""What Frappe calls when a User is renamed, merged, saved or deleted. Nothing here commits: Frappe 16 allows no commits in doc_events."""

from collections.abc import Callable
from functools import partial

import frappe
from frappe.model.document import Document
from frappe.model.rename_doc import get_link_fields
from frappe.sessions import delete_session

from memora.services.learning import accounts
from memora.services.operations import merging
from memora.services.store import database, tables


def before_rename(doc: Document, method: str, old: str, new: str, merge: bool = False) -> None:
	"""Runs twice, if the desk has a worker rename: in the request, where no rename follows, and in the worker.

	So nothing of the rename is written here.
	"""
	put_back()  # what another rename in this process may have left that has failed
	leave_out_tables()
	for user in (old, new):
		accounts.give_id(user)
	if merge:
		merging.check_users(old, new)
		leave_out_the_link()


def after_rename(doc: Document, method: str, old: str, new: str, merge: bool = False) -> None:
	put_back()
	tables.rename_owner(old, new)
	if merge:
		merging.merge_users(old, new)
	else:
		accounts.follow(old, new)
	database.after_commit(partial(end_sessions, old))


def on_update(doc: Document, method: str) -> None:
	if doc.has_value_changed("full_name"):
		accounts.rename(doc.name, doc.full_name)


def on_trash(doc: Document, method: str) -> None:
	accounts.leave(doc.name)


def leave_out_tables() -> None:
	"""Has Frappe not look for a renamed User in the tables that learners need.

	`User.after_rename` reads every table that `frappe.db.get_tables` names, from end to end, and locks all rows, to change
	`owner` and `modified_by`. In the tables that grow with answers no User stands there; two others get their new owner from
	`tables.rename_owner`. Until the rename is done, fails, or its transaction ends in any way, this connection does not name
	these tables.
	"""
	every: Callable[..., list[str]] = frappe.db.get_tables
	frappe.local.db.get_tables = lambda cached=True: [t for t in every(cached) if not is_left_out(t)]
	frappe.db.after_commit.add(put_back)
	frappe.db.after_rollback.add(put_back)


def is_left_out(table: str) -> bool:
	return tables.is_without_owner(table) or table in tables.LOCKED_BY_LEARNERS


def leave_out_the_link() -> None:
	"""Has Frappe not give the learners of two Users the same User, which the unique index refuses."""
	fields = get_link_fields("User")
	frappe.flags.link_fields["User"] = [field for field in fields if field["parent"] != "Memora Learner"]


def put_back() -> None:
	vars(frappe.local.db).pop("get_tables", None)
	(frappe.flags.link_fields or {}).pop("User", None)


def end_sessions(user: str) -> None:
	"""Signs a User out whose address was changed: her sessions name the old one, which somebody else may get.

	Frappe 16 does so itself.
	"""
	sessions = frappe.qb.DocType("Sessions")
	for (sid,) in frappe.qb.from_(sessions).where(sessions.user == user).select(sessions.sid).run():
		delete_session(sid, user, "User Renamed")
