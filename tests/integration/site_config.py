"""Configuration on disk, which every request reads anew; see served.py."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import frappe


@contextmanager
def site_config(**values: Any) -> Iterator[None]:
	"""Changes settings of the site for a block, for all processes."""
	with changed(Path(frappe.local.sites_path) / frappe.local.site / "site_config.json", **values):
		yield


@contextmanager
def changed(path: Path, **values: Any) -> Iterator[None]:
	"""Changes a file of settings for a block. What others write there meanwhile is undone, too."""
	before = path.read_text()
	_replace(path, json.dumps({**json.loads(before), **values}, indent=1, sort_keys=True))
	try:
		yield
	finally:
		_replace(path, before)


def _replace(path: Path, text: str) -> None:
	"""At once: a request must never read half a file."""
	part = path.with_name(path.name + ".part")
	part.write_text(text)
	part.replace(path)
