"""Which version of Memora the database is of. Code that is older than that changes nothing."""

import json
import re
from typing import Any

import frappe
from frappe import _
from frappe.modules.patch_handler import get_patches_from_app

import memora
from memora.exceptions import NewerDatabase
from memora.services.store import frappe_rows

KEY = "memora_code"  # one of Frappe's global defaults: {version, patches} of the code that brought the database up to date last
OF_FRAPPE = (
	"Installed Application"  # its version is that of the code which was there when any app was installed
)


def note() -> None:
	"""Notes that this code has brought the database up to date. The caller commits."""
	own = {"version": memora.__version__, "patches": sorted(get_known())}
	if _noted() != own:
		frappe.db.set_global(KEY, json.dumps(own))


def refuse_newer() -> None:
	"""Raises NewerDatabase if the database is of a newer version."""
	if found := find_newer():
		raise NewerDatabase(_("{0} Nothing was changed. {1}").format(*found))


def find_newer() -> tuple[str, str] | None:
	"""Returns (by what the database is newer than this code, what would be right); None if it is not newer."""
	noted, own = _noted(), memora.__version__
	found = noted.get("version") or frappe.db.get_value(OF_FRAPPE, {"app_name": "memora"}, "app_version")
	unknown = sorted({*noted.get("patches", ())} - get_known())
	if not unknown and _number(found) <= _number(own):
		return None
	text = _("The database of {0} is of Memora {1}, and this code is older: {2}.")
	if unknown:
		text = _("The database of {0} is of Memora {1}, and this code is older: {2}, without {3}.")
	mend = _(
		"Check out Memora {0} or a later one in apps/memora, or restore a backup from before the update."
	)
	return text.format(frappe.local.site, found, own, ", ".join(unknown)), mend.format(found)


def get_new() -> set[str]:
	"""Returns the patches of this code which the code lacked that brought the database up to date last."""
	return get_known() - {*_noted().get("patches", ())}


def get_known() -> set[str]:
	"""Returns the patches of this code."""
	return {patch.split(maxsplit=1)[0] for patch in get_patches_from_app("memora")}


def _number(version: str | None) -> list[int]:
	"""Returns what can be compared of a version such as 1.10.0; [] for what is none."""
	return [int(part) for part in re.findall(r"\d+", version or "")]


def _noted() -> dict[str, Any]:
	return json.loads(frappe_rows.read_global(KEY) or "{}")
