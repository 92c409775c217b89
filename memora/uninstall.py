"""Removes Memora from a site, and asks about what people may want to keep.

Frappe calls both hooks in its dry run, too: then they change nothing. Between them Frappe drops the DocTypes with their tables.
"""

import os
import sys

import click
import frappe
from redis.exceptions import RedisError

from memora import install
from memora.services.cache import settling
from memora.services.cache.breaker import Unavailable
from memora.services.operations import leftovers
from memora.services.store import frappe_rows, kept

VARIABLE = "MEMORA_UNINSTALL"  # in the environment
KEEP, DELETE = "keep", "delete"
QUESTION = (
	"This site holds what learners have learned with Memora, or people have its roles. Keep both, for a later installation? "
	"No deletes all of it."
)


def before_uninstall() -> None:
	"""Sets aside what is kept. Finds out whose the keys in Redis are, which nobody can tell without Memora's settings."""
	options = _options()
	if options.get("dry_run"):
		return
	frappe.flags.memora_keep = _is_worth_keeping() and _choose(bool(options.get("yes"))) == KEEP
	frappe.flags.memora_owns_keys = _owns_keys()
	if frappe.flags.memora_keep and kept.has_learned():
		frappe.db.commit()  # DDL on another connection would wait for this one
		kept.keep()


def after_uninstall() -> None:
	"""Removes what Frappe has left, if Memora is really gone."""
	if frappe_rows.is_installed():
		return
	roles_stay, data_stays = bool(frappe.flags.memora_keep), kept.is_there()
	_remove_from_data_import()
	remove(with_roles=not roles_stay, with_data=not data_stays)
	leftovers.forget_namespace()
	if roles_stay:
		what = f"what learners have learned, in tables {kept.PREFIX}…, and " if data_stays else ""
		print(
			f"Memora: kept {what}the roles that people have. `install-app memora` finds that again. "
			f"To delete it: bench --site {frappe.local.site} memora delete-kept"
		)


def remove(with_roles: bool = True, with_data: bool = True) -> int:
	"""Removes what belongs to Memora, all roles and all data only if told. Returns how many tables were dropped. Commits."""
	leftovers.delete_of_code()
	leftovers.delete_roles(with_roles)
	if with_data:
		leftovers.delete_about_data()
	frappe.db.commit()  # DDL on another connection would wait for this one
	dropped = kept.drop_all() if with_data else 0
	_remove_from_redis()
	leftovers.delete_notes()
	frappe.clear_cache()
	return dropped


def _options() -> dict[str, object]:
	"""Returns the options of `bench uninstall-app`; none where Python code uninstalls."""
	context = click.get_current_context(silent=True)
	return context.params if context else {}


def _is_worth_keeping() -> bool:
	return kept.has_learned() or kept.is_there() or bool(frappe_rows.count_holders(leftovers.ROLES))


def _choose(is_yes: bool) -> str:
	chosen = os.environ.get(VARIABLE)
	if chosen and chosen not in (KEEP, DELETE):
		raise click.ClickException(f"{VARIABLE} is {chosen}, neither {KEEP} nor {DELETE}. Nothing was done.")
	if chosen or is_yes or not sys.stdin.isatty():
		return chosen or KEEP
	return KEEP if click.confirm(QUESTION, default=True) else DELETE


def _owns_keys() -> bool:
	try:
		return not settling.find_owner_in_the_way()
	except Unavailable as error:
		_tell_what_stays("keys", error)
		return False


def _tell_what_stays(what: str, error: Exception) -> None:
	print(f"Memora: {what} in Redis stay until they expire, because it can't be asked: {error}")


def _remove_from_data_import() -> None:
	frappe.db.delete("Custom DocPerm", {"parent": ("in", list(install.IMPORTS)), "role": install.MANAGER})
	names = list(install.CHOICES_OF_IMPORTS)
	frappe.db.delete("Custom Field", {"dt": "Data Import", "fieldname": ("in", names)})
	frappe_rows.drop_columns("Data Import", names)


def _remove_from_redis() -> None:
	try:
		if frappe.flags.pop("memora_owns_keys", False):
			settling.delete_keys()
		leftovers.delete_jobs()
	except (Unavailable, RedisError) as error:
		_tell_what_stays("keys and jobs", error)
