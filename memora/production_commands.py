"""The bench command that writes what an installation needs: bench --site <site> memora setup-production."""

from functools import partial
from pathlib import Path
from typing import Any

import click
import frappe

from memora.console import confirm, on_site


def _show(result: dict[str, Any]) -> None:
	"""Prints the changes, what speaks against them, and what to run."""
	for diff in result.get("diffs", ()):
		click.echo(f"{diff}\n")
	changed = result["changed"]
	text = "\n  ".join([f"{'Written' if result['written'] else 'Would be written'}:", *changed])
	click.echo(text if changed else "Nothing changes: all files are as they should be.")
	if result["warning"]:
		click.echo(f"\nWarning: {result['warning']}")
	click.echo("\nSo that it is used, unless you have done so:")
	who = None
	for number, step in enumerate(result["steps"], 1):
		if step["who"] != who:
			who = step["who"]
			click.echo(f"{who}:")
		click.echo(f"  {number}. {step['run']}")


@click.command("setup-production")
@click.option("--dry-run", is_flag=True, help="Write nothing, only show what would change.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
	"--port",
	type=click.IntRange(1, 65535),
	help="Of the schedules' Redis. By default 13100, or the next free one.",
)
@click.option("--memory", help="Of the schedules' Redis, such as 2gb. By default a fourth of this machine's.")
@click.option("--skip-redis", is_flag=True, help="Leave all Redis alone: somebody else runs them.")
@click.option("--systemd", is_flag=True, help="Write units for systemd in place of supervisor's programs.")
@partial(on_site, show=_show)
def setup_production(dry_run: bool, yes: bool, **options: Any) -> dict[str, Any]:
	"""Write what bench does not: the schedules' Redis, its program, limits for nginx, a job for Prometheus.

	Shows each change and asks. Says at the end what to run as root. Can be run again.
	"""
	from memora.services.operations import production, production_steps

	bench = Path(frappe.local.sites_path).resolve().parent
	plan = production.make_plan(bench, frappe.local.site, frappe.conf, production.Options(**options))
	diffs, warning = [file.diff() for file in plan.changed], None
	if not dry_run:
		_show_diffs(diffs)
		if diffs and not yes:
			confirm(
				f"{'Write this, and CONFIG SET appendonly yes in the queue’s Redis' if plan.queue else 'Write this'}?"
			)
		production.write(plan)
		warning = production_steps.keep_jobs(plan)
	return {
		"changed": [str(file.path) for file in plan.changed],
		"written": not dry_run,
		"warning": warning,
		"steps": [step._asdict() for step in production_steps.steps(plan)],
		**({"diffs": diffs} if dry_run else {}),
	}


def _show_diffs(diffs: list[str]) -> None:
	for diff in diffs:
		click.echo(f"{diff}\n", err=True)


COMMANDS = (setup_production,)
