"""Removes what Frappe leaves of Memora when it is uninstalled: rows of Frappe's own tables, roles, jobs, notes.

Each function may be repeated, and is for a site that has no DocTypes of Memora any more. What is stored as Frappe's rows goes with
the caller's transaction. Error Log and log files stay: Frappe clears them after a time.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import frappe
from frappe.installer import update_site_config
from frappe.utils import background_jobs
from redis.exceptions import RedisError
from rq.job import JobStatus

from memora.services.folding import queueing
from memora.services.operations.learner_traces import is_of_memora, jobs_of_site
from memora.services.store import frappe_rows, kept, subject_names, versions

NAME = "Memora"  # of the module, the workspace, and on Frappe 16 the sidebar and the icon
ROLES = ("Memora Manager", "Memora Monitor")
NAMESPACE = "srs_redis_namespace"
BOOKMARKS = "memora_bookmarks|"  # of the keys in Frappe's cache
TURNS = "memora_turns.lock"
OF_DESK = ("Desktop Icon", "Workspace Sidebar")
FILE, DELETED = "File", "Deleted Document"
NO_LINKS = {
	"Report": [frappe_rows.Link("Prepared Report", "report_name", False)]
}  # columns that only hold a text


def delete_of_code() -> None:
	"""Deletes what Memora's code has made, and comes back with the next installation: jobs, notes of patches, parts of the desk."""
	types = frappe.get_all("Scheduled Job Type", {"method": ("like", "memora.%")}, pluck="name")
	frappe.db.delete("Scheduled Job Log", {"scheduled_job_type": ("in", types or [""])})
	frappe.db.delete("Scheduled Job Type", {"name": ("in", types or [""])})
	frappe.db.delete("Patch Log", {"patch": ("like", "memora.patches.%")})
	frappe.db.delete("List View Settings", {"name": ("in", names_of("DocType"))})
	frappe.db.delete("Block Module", {"module": NAME})
	_forget_in_users()
	for kind in ("Report", "Number Card", "Dashboard Chart"):
		_delete_rows_about(kind)
	for kind in ("DocType", "Report", "Number Card", "Dashboard Chart", "Workspace"):
		frappe_rows.delete_notes_about(kind, names_of(kind))
	frappe_rows.delete_notes_about("Module Def", [NAME])
	frappe.db.delete(DELETED, {"deleted_doctype": "Module Def", "deleted_name": NAME})
	frappe.db.delete(DELETED, {"data": ("like", f'%"module": "{NAME}"%')})
	for doctype in OF_DESK:
		_delete_of_desk(doctype)


def delete_roles(all_of_them: bool) -> None:
	"""Deletes Memora's roles that nobody has, or all."""
	for role in ROLES:
		if all_of_them or not frappe_rows.count_holders([role]):
			for doctype in ("Has Role", "Custom DocPerm"):
				frappe.db.delete(doctype, {"role": role})
			frappe.delete_doc("Role", role, force=True, ignore_on_trash=True, delete_permanently=True)


def delete_about_data() -> None:
	"""Deletes all that is said of Memora's documents, customizations of their DocTypes, and notes about the data."""
	subject_names.forget_all()
	frappe.defaults.clear_default(key=versions.KEY, parent="__global")
	_delete_rows_about("DocType")
	frappe.db.delete(DELETED, {"deleted_doctype": ("in", names_of("DocType"))})
	frappe.db.delete("Property Setter", {"doc_type": ("in", names_of("DocType"))})
	frappe_rows.forget_settings_of_lists(names_of("DocType"))


def names_of(kind: str) -> list[str]:
	"""Returns the names of Memora's documents of a kind, by Memora's own files."""
	return [found["name"] for found in kept.describe(frappe.scrub(kind))]


# Rows of Frappe's tables


def _delete_rows_about(kind: str) -> None:
	"""Deletes each row, with its children, that names one of Memora's documents of a kind: comments, versions, files, imports, alerts …"""
	names = ("in", names_of(kind))
	for doctype, column, is_child in (*frappe_rows.links_to(kind), *NO_LINKS.get(kind, ())):
		if doctype == FILE:
			_delete_files({column: names})
		elif not is_child:
			_delete_children(doctype, {column: names})
		frappe.db.delete(doctype, {column: names})


def _delete_children(doctype: str, filters: dict[str, Any]) -> None:
	"""Deletes child rows and files of documents, before the documents themselves."""
	children = {field.options for field in frappe.get_meta(doctype).get_table_fields()}
	has_files = frappe.db.exists(FILE, {"attached_to_doctype": doctype})
	if parents := frappe.get_all(doctype, filters, pluck="name") if children or has_files else []:
		for child in children:
			frappe.db.delete(child, {"parenttype": doctype, "parent": ("in", parents)})
		_delete_files({"attached_to_doctype": doctype, "attached_to_name": ("in", parents)})


def _delete_files(filters: dict[str, Any]) -> None:
	for name in frappe.get_all(FILE, filters, pluck="name"):
		frappe.delete_doc(FILE, name, force=True, ignore_permissions=True, delete_permanently=True)


def _forget_in_users() -> None:
	for column, value in (("default_workspace", NAME), ("default_app", "memora")):
		if frappe_rows.has_column("User", column):
			frappe.db.set_value("User", {column: value}, column, None, update_modified=False)


def _delete_of_desk(doctype: str) -> None:
	"""Frappe 16 deletes an app's icon and sidebar itself, but after its last commit."""
	if frappe_rows.has_column(doctype, "app"):
		for name in frappe.get_all(doctype, {"app": "memora"}, pluck="name"):
			# its trigger deletes the app's file where developer_mode is on
			frappe.delete_doc(doctype, name, ignore_on_trash=True, force=True, delete_permanently=True)


# Outside of MariaDB


def delete_jobs() -> None:
	"""Deletes Memora's jobs of this site, but for those that run. Raises RedisError."""
	queueing.reach_queue()
	for job in jobs_of_site():
		if is_of_memora(job) and job.get_status(refresh=False) != JobStatus.STARTED:
			job.delete()
	background_jobs.get_redis_conn().delete(queueing.job_waits_key())


def delete_notes() -> None:
	"""Deletes Memora's notes in Frappe's cache, and its files in the site's folder. The cache may be away."""
	with suppress(RedisError):
		frappe.cache().delete_keys(BOOKMARKS)
	Path(frappe.get_site_path("locks", TURNS)).unlink(missing_ok=True)


def forget_namespace() -> None:
	"""Takes the keys' namespace out of the site's own configuration."""
	if frappe.get_site_config().get(NAMESPACE) is not None:
		update_site_config(NAMESPACE, "None")
