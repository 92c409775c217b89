"""Frappe's texts in other languages, where Frappe brings them as sources that have to be compiled."""

from devtools import shell, sites
from devtools.paths import Bench
from devtools.report import step


def ensure(bench: Bench) -> None:
	"""Without this the desk is English but for what memora translates. A Frappe with CSV files needs nothing."""
	stamp = bench.sites / "assets" / ".memora-translations"
	if stamp.is_file() or not any((bench.frappe / "frappe" / "locale").glob("*.po")):
		return
	with step("Compiling Frappe's translations"):
		command = sites.bench_command(bench, "compile-po-to-mo", "--app", "frappe")
		shell.run(command, bench.log("translations"), cwd=bench.sites)
	stamp.touch()
