"""The doctor's checks of the site's state, and of the files that browsers load. Each yields (problem, how to mend it)."""

from collections.abc import Iterator
from pathlib import Path

import frappe
from frappe import _
from frappe.utils import get_assets_json

from memora.services.store import versions

OF_FRAPPE = "desk.bundle.js"
BUNDLES = ("memora.bundle.js", "memora.bundle.css")


SOURCES = ("js/*.js", "css/*.css")
PUBLIC = Path(frappe.get_app_path("memora", "public"))


def maintenance() -> Iterator[tuple[str, str]]:
	if frappe.conf.maintenance_mode:
		yield (
			_("Maintenance mode is on: learners get 503, and their answers stay on their devices."),
			f"bench --site {frappe.local.site} set-maintenance-mode off",
		)


def code_version() -> Iterator[tuple[str, str]]:
	if found := versions.find_newer():
		yield found


def assets() -> Iterator[tuple[str, str]]:
	built = get_assets_json()
	if OF_FRAPPE not in built:
		return  # a bench without a desk
	newest = max(path.stat().st_mtime for folder in SOURCES for path in PUBLIC.glob(folder))
	missing = [name for name in BUNDLES if not _is_built(built.get(name), newest)]
	if missing:
		yield (
			_("The desk lacks what the installed version of Memora brings: {0}").format(", ".join(missing)),
			"bench build --app memora",
		)


def _is_built(address: str | None, newest_source: float) -> bool:
	"""Says whether a bundle is there, and was built from what is there now. `address` is that of the browser."""
	if not address:
		return False
	try:
		return (Path(frappe.local.sites_path) / address.lstrip("/")).stat().st_mtime >= newest_source
	except FileNotFoundError:
		return False
