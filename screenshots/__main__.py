"""Fills the site that `./dev screenshots` has made, opens a browser and takes the pictures."""

import sys

import frappe

from benchmarks.site import connected
from devtools import processes
from devtools.paths import PICTURE_SITE, PROJECT
from devtools.report import Failure, say_failure, step
from screenshots import camera, pictures, school

FOLDER = PROJECT / "docs" / "images"


def main(names: list[str]) -> int:
	try:
		with connected():
			_run(names)
	except Failure as failure:
		say_failure(failure)
		return 1
	return 0


def _run(names: list[str]) -> None:
	if frappe.local.site != PICTURE_SITE:
		raise Failure(f"{frappe.local.site} is not the site for pictures: run ./dev screenshots")
	with step("Making two months of a school"):
		made = school.found()
	with processes.web() as web, camera.browser() as chromium:
		studio = pictures.Studio(chromium, web.url, made, FOLDER)
		for name in (name for name in pictures.TAKE if name in names):
			with step(f"docs/images/{name}.png"):
				pictures.TAKE[name](studio)
	frappe.clear_cache()


if __name__ == "__main__":
	sys.exit(main(sys.argv[1:]))
