"""Sets up a site beyond the DocTypes. Runs after the installation, and in part after every migrate."""

from typing import Any

import frappe
from frappe.custom.doctype.custom_field.custom_field import create_custom_field
from frappe.installer import update_site_config
from frappe.permissions import add_permission, update_permission_property
from frappe.utils import get_sites
from frappe.utils.background_jobs import get_queues_timeout

from memora.services.cache import connections, incidents, settling
from memora.services.cache.addresses import InvalidConfiguration
from memora.services.cache.breaker import Unavailable
from memora.services.cache.ownership import LAPSE_SECONDS, Owner
from memora.services.folding.queueing import FALLBACK_QUEUE, QUEUE
from memora.services.operations import job_types, learner_ids
from memora.services.store import layout, partitions, subject_names, tables

SETTINGS = "Memora Settings"
MANAGER = "Memora Manager"
IMPORTS = {"Data Import": ("read", "write", "create"), "Data Import Log": ("read",)}
LIGHT_LISTS = (*tables.INDEXES, "Review Outbox", "SRS Write Job")
OF_DESK = ("Desktop Icon", "Workspace Sidebar")
LIST_COLUMNS = {"SRS Write Job": "6"}  # without a number the desk shows four columns on most screens


CHOICES_OF_IMPORTS = {
	"memora_change_others": "Change Records of Others",
	"memora_remove_options": "Remove Options Not in the File",
}


def after_install() -> None:
	_set_redis_namespace()
	after_migrate()
	let_managers_import()
	_look_for_queue()


def let_managers_import() -> None:
	"""Lets Memora Managers use Frappe's Data Import; memora.api.data_imports says for what."""
	for doctype, rights in IMPORTS.items():
		for right in rights:
			add_permission(doctype, MANAGER)
			update_permission_property(doctype, MANAGER, 0, right, 1)
	keep_to_own_imports()


def keep_to_own_imports() -> None:
	"""Keeps managers from others' imports. Without `if_owner` a right is one on everybody's imports and their files."""
	for doctype in ("Data Import", "Data Import Log"):
		for rule in frappe.get_all("Custom DocPerm", {"parent": doctype, "role": MANAGER}, pluck="name"):
			frappe.db.set_value("Custom DocPerm", rule, "if_owner", 1)
		frappe.clear_cache(doctype=doctype)


def before_uninstall() -> None:
	"""Deletes what Frappe would leave on the site. Roles stay, because users have them.

	Frappe 16 deletes an app's icon and sidebar itself, but after its last commit.
	"""
	settling.release_keys()
	subject_names.forget_all()
	frappe.db.delete("List View Settings", {"name": ("in", LIGHT_LISTS)})
	frappe.db.delete("Custom DocPerm", {"parent": ("in", tuple(IMPORTS)), "role": MANAGER})
	frappe.db.delete("Custom Field", {"dt": "Data Import", "fieldname": ("in", list(CHOICES_OF_IMPORTS))})
	for doctype in OF_DESK:
		if frappe.db.exists("DocType", doctype) and frappe.db.has_column(doctype, "app"):
			for name in frappe.get_all(doctype, {"app": "memora"}, pluck="name"):
				# its trigger deletes the app's file where developer_mode is on
				frappe.delete_doc(doctype, name, ignore_on_trash=True, force=True, delete_permanently=True)


def after_migrate() -> None:
	frappe.db.commit()  # DDL on another connection would wait for this one
	if unpartitioned := layout.ensure_layout():
		print(
			f"Memora: {', '.join(unpartitioned)} can't be used yet, because the rows are not partitioned by season. "
			f"Run: {partitions.how_to_partition()}"
		)
	_offer_choices_of_imports()
	_keep_lists_light()
	_complete_settings()
	_give_late_ids()
	_settle_keys()
	job_types.begin_now()


def _give_late_ids() -> None:
	if how_many := learner_ids.give_late():
		print(f"Memora: rows of {how_many} learners, written by an earlier version, now carry their ids.")


def _offer_choices_of_imports() -> None:
	"""Adds to Frappe's Data Import what memora.memora.imported_changes asks for."""
	for fieldname, label in CHOICES_OF_IMPORTS.items():
		if not frappe.db.exists("Custom Field", {"dt": "Data Import", "fieldname": fieldname}):
			create_custom_field(
				"Data Import",
				{
					"fieldname": fieldname,
					"fieldtype": "Check",
					"label": label,
					"insert_after": "import_type",
					"depends_on": 'eval:doc.import_type === "Update Existing Records" && /^Game (Question|Topic|Subject)$/.test(doc.reference_doctype)',
					"module": "Memora",
				},
			)


def _keep_lists_light() -> None:
	"""Tells the desk not to count the rows of lists of big tables, and not to refresh these lists on its own."""
	switches = ("disable_count", "disable_comment_count", "disable_sidebar_stats", "disable_auto_refresh")
	for doctype in LIGHT_LISTS:
		if not frappe.db.exists("List View Settings", doctype):
			values = {**dict.fromkeys(switches, 1), "total_fields": LIST_COLUMNS.get(doctype)}
			settings = frappe.get_doc({"doctype": "List View Settings", **values})
			settings.insert(set_name=doctype, ignore_permissions=True)


def _complete_settings() -> None:
	"""Stores the defaults of settings that are newer than a site's saved settings.

	Without a value for each setting the site could not save its settings again.
	"""
	if stored := frappe.db.get_singles_dict(SETTINGS):
		for field in frappe.get_meta(SETTINGS).fields:
			if field.default and field.fieldname not in stored:
				frappe.db.set_single_value(SETTINGS, field.fieldname, field.default, update_modified=False)


def _set_redis_namespace() -> None:
	"""Keeps sites apart that share one Redis: each site but the first puts its name in front of its keys."""
	if frappe.conf.get("srs_redis_namespace") is not None:
		return
	own = _places(frappe.conf)
	others = (site for site in get_sites() if site != frappe.local.site)
	if any(_places(frappe.get_site_config(site_path=site)) & own for site in others):
		_use_namespace(frappe.local.site)


def _places(conf: dict[str, Any]) -> set[tuple[Any, ...]]:
	try:
		return connections.identities(connections.place(conf))
	except InvalidConfiguration:  # the doctor tells of it
		return set()


def _settle_keys() -> None:
	"""Gives this site keys of its own if those that it uses are another's, as after a copy or a restored backup."""
	try:
		owner = settling.find_other_owner()
		if owner and not _may_take_over(owner):
			_leave_keys_to(owner)
		settling.claim()
		if incidents.get_open():  # earlier versions noted nowhere whose schedules lack what they missed
			settling.declare_stale()
	except Unavailable as error:
		print(f"Memora: the Redis for schedules can't be asked whose its keys are: {error}")


def _may_take_over(owner: Owner) -> bool:
	"""Says whether the owner is this site before it was moved or MariaDB failed over. May wait for minutes."""
	if owner.database != frappe.conf.db_name:
		return False
	print(
		f"Memora: looking whether {owner} still uses the schedules in Redis. This takes up to {LAPSE_SECONDS} s."
	)
	return not settling.wait_for_owner(owner)


def _leave_keys_to(owner: Owner) -> None:
	for namespace in (frappe.local.site, f"{frappe.local.site} {frappe.generate_hash(length=8)}"):
		frappe.local.conf.srs_redis_namespace = namespace
		if not settling.find_other_owner():
			break
	_use_namespace(namespace)
	print(
		f"Memora: the schedules in Redis belong to {owner}. This site now has its own, by srs_redis_namespace in its "
		"site_config.json. docs/operations.md of Memora says what to do if that site is gone."
	)


def _use_namespace(namespace: str) -> None:
	update_site_config("srs_redis_namespace", namespace)
	frappe.local.conf.srs_redis_namespace = namespace


def _look_for_queue() -> None:
	if QUEUE not in get_queues_timeout():
		print(
			f"Memora: common_site_config.json has no queue {QUEUE} under `workers`, so its jobs go to {FALLBACK_QUEUE}. "
			"See docs/install.md of Memora."
		)
