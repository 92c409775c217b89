"""Compiles Frappe's translations, for a Frappe that brings them as sources."""

from devtools import shell, sites
from devtools.paths import Bench
from devtools.report import step


def ensure(bench: Bench) -> None:
	"""Compiles the translations. Without them, only memora's texts on the desk are translated.

	Does nothing for a Frappe whose translations are CSV files.
	"""
	stamp = bench.sites / "assets" / ".memora-translations"
	if stamp.is_file() or not any((bench.frappe / "frappe" / "locale").glob("*.po")):
		return
	with step("Compiling Frappe's translations"):
		command = sites.bench_command(bench, "compile-po-to-mo", "--app", "frappe")
		shell.run(command, bench.log("translations"), cwd=bench.sites)
	stamp.touch()
