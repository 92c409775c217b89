"""Runs bench commands on a site, and shows what the commands return."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn

import click
import frappe
from frappe import _
from frappe.commands import get_site, pass_context
from frappe.utils import strip_html

from memora.exceptions import MemoraError
from memora.services.store import failures, limits


def on_site(
	command: Callable[..., Any],
	show: Callable[[dict[str, Any]], None] | None = None,
	is_of_installed: bool = True,
) -> Callable[..., Any]:
	"""Runs a command on the bench's --site, and shows what it returns; with --json as one JSON object.

	One that is not `is_of_installed` is for a site from which Memora was uninstalled.

	If the command is refused, the result is {error} and the exit code is 1.
	"""

	@wraps(command)
	def run(context: Any, as_json: bool, **options: Any) -> NoReturn:
		if len(context.sites or []) > 1:
			raise click.UsageError("Name one site.")
		frappe.init(site=get_site(context))
		frappe.connect()
		try:
			_check_installed(is_of_installed)
			limits.limit_work()
			result = command(**options)
		except (MemoraError, click.Abort) as error:
			text = strip_html(str(error)) or "Not confirmed, so nothing was done. --yes skips the question."
			if not as_json:
				raise click.ClickException(text) from error
			result = {"error": text, "exit_code": 1}
		finally:
			frappe.destroy()
		exit_code = result.pop("exit_code", 0)
		if as_json:
			click.echo(json.dumps(result, default=str))
		else:
			(show or _show)(result)
		raise SystemExit(exit_code)

	return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(pass_context(run))


def _check_installed(is_of_installed: bool) -> None:
	try:
		apps = frappe.get_installed_apps()
	except failures.ERRORS:  # the command says what it can't do without MariaDB
		return
	if "memora" in apps and not is_of_installed:
		text = _(
			"Memora is installed on {0}. This command deletes what is kept after: bench --site {0} uninstall-app memora"
		)
		raise MemoraError(text.format(frappe.local.site))
	if "memora" not in apps and is_of_installed:
		text = _("Memora is not installed on {0}. Run: bench --site {0} install-app memora")
		raise MemoraError(text.format(frappe.local.site))


def _show(result: dict[str, Any]) -> None:
	"""Prints one value a line. Lists of objects come last, as tables."""
	tables = {name: value for name, value in result.items() if value and _is_table(value)}
	values = {name: value for name, value in result.items() if value is not None and not _is_table(value)}
	width = max(map(len, values), default=0)
	for name, value in values.items():
		for number, line in enumerate(_lines(value)):
			label = "" if number else name.replace("_", " ")
			click.echo(f"{label:<{width}}  {line}")
	for rows in tables.values():
		click.echo()
		_show_table(rows)


def _is_table(value: Any) -> bool:
	return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _lines(value: Any) -> list[str]:
	if isinstance(value, dict):
		return [f"{name}: {_text(part)}" for name, part in value.items()] or ["none"]
	if isinstance(value, list | tuple):
		return [_text(part) for part in value] or ["none"]
	return [_text(value)]


def _text(value: Any) -> str:
	if isinstance(value, bool):
		return "yes" if value else "no"
	return f"{value:,}" if isinstance(value, int | float) else str(value)


def _show_table(rows: list[dict[str, Any]]) -> None:
	"""Prints a table. Numbers are aligned to the right, texts to the left."""
	columns = [[name, *(_text(row[name]) for row in rows)] for name in rows[0]]
	for column, value in zip(columns, rows[0].values(), strict=True):
		width = max(map(len, column))
		align = str.rjust if isinstance(value, int | float) else str.ljust
		column[:] = [align(text, width) for text in column]
	for line in zip(*columns, strict=True):
		click.echo("  ".join(line).rstrip())


def confirm(question: str) -> None:
	"""Asks on stderr, and raises Abort unless the answer is yes. click's own question would write a blank to stdout."""
	click.echo(f"{question} [y/N] ", nl=False, err=True)
	if sys.stdin.readline().strip().lower() not in ("y", "yes"):
		raise click.Abort


@contextmanager
def bar(length: int) -> Iterator[Callable[[int], None]]:
	"""Shows a progress bar on stderr, if stderr is a terminal. Yields a function that moves the bar to a position."""
	if not sys.stderr.isatty():
		yield lambda position: None
		return
	with click.progressbar(length=max(length, 1), file=sys.stderr) as shown:
		yield lambda position: shown.update(position - shown.pos)
