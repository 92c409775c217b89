"""The doctor's checks of the site's state, and of the files that browsers load. Each yields (problem, how to mend it)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import frappe
from frappe import _
from frappe.utils import get_assets_json

from memora.services.store import versions

OF_FRAPPE = "desk.bundle.js"
BUNDLES = ("memora.bundle.js", "memora.bundle.css")


SOURCES = ("js/*.js", "css/*.css")
PUBLIC = Path(frappe.get_app_path("memora", "public"))
MANIFEST = "assets/assets.json"
HAS_DESK = Path(frappe.get_app_path("frappe")).parent / "package.json"  # with which bench builds it


SWITCHES = ("maintenance_mode", "pause_scheduler")  # which bench update sets in common_site_config.json


def maintenance() -> Iterator[tuple[str, str]]:
	if frappe.conf.maintenance_mode:
		yield (
			_("Maintenance mode is on: learners get 503, and their answers stay on their devices."),
			switch_off("maintenance_mode"),
		)
	for key in SWITCHES:
		if _own_value(key) in (0, "0"):
			yield (
				_("{0} in site_config.json goes before what bench update sets while it migrates.").format(
					key
				),
				switch_off(key),
			)


def switch_off(key: str) -> str:
	"""Returns the command that takes a setting back where it stands. A 0 of the site's own would hold for ever."""
	if _own_value(key) is None:
		return f"bench set-config -gp {key} 0"
	return f"bench --site {frappe.local.site} set-config {key} None"


def _own_value(key: str) -> Any:
	return json.loads(Path(frappe.get_site_path("site_config.json")).read_text(encoding="utf-8")).get(key)


def setup_command() -> str:
	"""Returns the command that makes what bench does not."""
	return f"bench --site {frappe.local.site} memora setup-production"


def start_command(program: str) -> str:
	"""Returns the command that starts a program of supervisor's. {0} in its name is that of the bench."""
	bench = Path(frappe.local.sites_path).resolve().parent.name
	return f"sudo supervisorctl start {program.format(bench)}"


def code_version() -> Iterator[tuple[str, str]]:
	if found := versions.find_newer():
		yield found


def assets() -> Iterator[tuple[str, str]]:
	if HAS_DESK.exists() and not Path(frappe.local.sites_path, MANIFEST).exists():
		yield _("The desk was never built."), "bench build"
		return
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
