"""Sets up a site beyond the DocTypes. Runs after the installation, and in part after every migrate."""

from typing import Any

import click
import frappe
from frappe.custom.doctype.custom_field.custom_field import create_custom_field
from frappe.installer import update_site_config
from frappe.permissions import add_permission, update_permission_property
from frappe.utils import get_sites
from frappe.utils.background_jobs import get_queues_timeout

from memora.exceptions import NewerDatabase
from memora.services.cache import connections, incidents, settling
from memora.services.cache.addresses import InvalidConfiguration
from memora.services.cache.breaker import Unavailable
from memora.services.cache.ownership import LAPSE_SECONDS, Owner
from memora.services.folding.queueing import FALLBACK_QUEUE, QUEUE
from memora.services.operations import job_types, learner_ids
from memora.services.store import digits, kept, layout, partitions, tables, versions

SETTINGS = "Memora Settings"
MANAGER = "Memora Manager"
IMPORTS = {"Data Import": ("read", "write", "create"), "Data Import Log": ("read",)}
LIGHT_LISTS = (*tables.INDEXES, "Review Outbox", "SRS Write Job")
LIST_COLUMNS = {"SRS Write Job": "6"}  # without a number the desk shows four columns on most screens


CHOICES_OF_IMPORTS = {
	"memora_change_others": "Change Records of Others",
	"memora_remove_options": "Remove Options Not in the File",
}


def before_install() -> None:
	"""Refuses to install beside kept data that this code can't take back."""
	if kept.is_there():
		_refuse_newer()
		frappe.flags.memora_new_patches = versions.get_new()


def after_install() -> None:
	_take_back()
	_set_redis_namespace()
	after_migrate()
	let_managers_import()
	_look_for_queue()


def _take_back() -> None:
	"""Finds again what an uninstallation has kept. Patches that it lacks are run by the next migrate."""
	frappe.db.commit()  # DDL on another connection would wait for this one
	if not (found := kept.take_back()):
		return
	print(f"Memora: found again what was kept when it was uninstalled: {len(found)} tables.")
	if new := frappe.flags.memora_new_patches:
		frappe.db.delete("Patch Log", {"patch": ("in", list(new))})
		print(f"Memora: they are of an earlier version. Run: bench --site {frappe.local.site} migrate")


def before_migrate() -> None:
	"""Refuses a database of a newer version, and ends what an uninstallation that broke off has left."""
	_refuse_newer()
	frappe.db.commit()  # DDL on another connection would wait for this one
	kept.take_back()
	digits.forget_precision()


def _refuse_newer() -> None:
	"""Ends the command of bench with a sentence instead of a traceback."""
	try:
		versions.refuse_newer()
	except NewerDatabase as error:
		raise click.ClickException(str(error)) from error


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


def after_migrate() -> None:
	frappe.db.commit()  # DDL on another connection would wait for this one
	_bring_up_to_date()
	versions.note()


def _bring_up_to_date() -> None:
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
