"""bench --site <site> memora …: what operators do by hand."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import wraps

import click
import frappe
from frappe.commands import get_site, pass_context
from frappe.utils import strip_html

from memora.exceptions import MemoraError

SECONDS_TO_DRAIN = 3600
TRACKER = "Player Memory Tracker"


@click.group()
def memora():
	"""The spaced-repetition engine: its answers, caches, seasons and health."""


def on_site(command: Callable) -> Callable:
	"""Connects to the bench's --site; prints what the command returns, with --json as JSON."""

	@wraps(command)
	def run(context, as_json: bool, **options):
		frappe.init(site=get_site(context))
		frappe.connect()
		try:
			result = command(**options)
		except MemoraError as error:
			raise click.ClickException(strip_html(str(error))) from error
		finally:
			frappe.destroy()
		exit_code = result.pop("exit_code", 0)
		_print(result, as_json)
		raise SystemExit(exit_code)

	return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(pass_context(run))


def _print(result: dict, as_json: bool) -> None:
	if as_json:
		click.echo(json.dumps(result, default=str))
		return
	for name, value in result.items():
		for line in value if isinstance(value, list) else [value]:
			text = ", ".join(f"{k}: {v}" for k, v in line.items()) if isinstance(line, dict) else line
			click.echo(f"{name.replace('_', ' '):>14}  {text}")


@memora.command()
@click.option("--parked", is_flag=True, help="Try the parked submissions again, too.")
@on_site
def drain(parked: bool) -> dict:
	"""Fold all answers that wait in the outbox, as the worker does."""
	from memora.services import site_time, srs_persistence

	retried = srs_persistence.retry_parked() if parked else 0
	rows = srs_persistence.drain(site_time.to_naive(site_time.now()), SECONDS_TO_DRAIN)
	return {"retried": retried, "submissions": len(rows), "answers": sum(r.answers for r in rows)}


@memora.command()
@click.option("--heal", is_flag=True, help="Make the partitions that seasons lack.")
@on_site
def partitions(heal: bool) -> dict:
	"""List the partitions of the tracker, or make missing ones."""
	from memora.services import partition_manager

	healed = partition_manager.heal_partitions() if heal else []
	frappe.db.commit()  # nosemgrep: frappe-manual-commit: a command is its own transaction
	found = partition_manager.list_partitions("Player Memory Tracker")
	return {"healed": healed, "partitions": found}


@memora.command()
@click.option("--season", required=True, help="The season to replay.")
@click.option("--player", help="One learner only.")
@click.option("--repair", is_flag=True, help="Write what the journal says wherever the tracker differs.")
@on_site
def replay(season: str, player: str | None, repair: bool) -> dict:
	"""Compare the tracker with the journal. Exits with 1 while they differ."""
	from memora.services import replay as service
	from memora.services import seasons

	seasons.get(season)
	report = asdict(service.replay(season, player, repair))
	return {**report, "exit_code": int(report["differences"] > report["repaired"])}


@memora.command()
@on_site
def status() -> dict:
	"""How the system is. Exits with 1 when something is critical."""
	from memora.services import cache_status, health

	found = health.get()
	lines = [f"{name}: {check['status']}. {check['message']}" for name, check in found["checks"].items()]
	is_critical = found["status"] == health.CRITICAL
	return {
		"status": found["status"],
		"checks": lines,
		"cache": cache_status.get(),
		"exit_code": int(is_critical),
	}


@memora.command()
@on_site
def doctor() -> dict:
	"""Look for what is known to go wrong, and say how to mend it. Exits with 1 when something is found."""
	from memora.services import doctor as service

	findings = service.examine()
	return {
		"findings": [f._asdict() for f in findings],
		"checks": list(service.CHECKS),
		"exit_code": int(bool(findings)),
	}


@memora.command("rebuild-cache")
@click.option("--season", required=True, help="The season whose schedules to load into Redis.")
@click.option("--batch-size", default=1000, show_default=True, help="In records.")
@click.option("--restart", is_flag=True, help="Begin anew, also where a run has not completed.")
@click.option("--cancel", is_flag=True, help="Have the run that is going on stop instead.")
@on_site
def rebuild_cache(season: str, batch_size: int, restart: bool, cancel: bool) -> dict:
	"""Load the schedules of a whole season into Redis. Exits with 1 when it does not complete."""
	from memora.services import cache_rebuild, partition_manager

	if cancel:
		return {"cancelled": cache_rebuild.cancel(season)}
	with _bar(partition_manager.estimate_rows(TRACKER, season)) as bar:
		result = cache_rebuild.rebuild(season, batch_size, restart, lambda doc: bar(doc.records))
	return {**result, "exit_code": int(result["status"] != "completed")}


@memora.command()
@click.option("--season", help="By default the active one.")
@click.option("--player", help="One learner only.")
@click.option("--sample-size", default=10_000, show_default=True, help="In records.")
@click.option("--all", "all_learners", is_flag=True, help="Go through all learners instead of a sample.")
@on_site
def reconcile(season: str | None, player: str | None, sample_size: int, all_learners: bool) -> dict:
	"""Compare Redis with MariaDB, and mend it. Exits with 1 when more is wrong than may be."""
	from memora.api.utils import get_active_season
	from memora.services import partition_manager
	from memora.services.srs_reconciliation import reconcile_cache_with_database

	estimate = partition_manager.estimate_rows(TRACKER, season or get_active_season() or "")
	with _bar(estimate if all_learners else min(sample_size, estimate)) as bar:
		result = reconcile_cache_with_database(
			None if all_learners else sample_size, season, player, lambda report: bar(report.sample_size)
		)
	return {**result, "exit_code": int(bool(result["error"]) or result["alert_triggered"])}


@memora.command()
@click.argument("season")
@click.option("--dry-run", is_flag=True, help="Say what would be moved.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_site
def archive(season: str, dry_run: bool, yes: bool) -> dict:
	"""Move a season that is over out of the live table. Exits with 1 when it could not be."""
	from memora.services.srs_archiver import SRSArchiver

	archiver = SRSArchiver()
	found = archiver.get_archive_status(season)
	if dry_run:
		return found
	if not yes:
		click.confirm(f"Archive {found['active_records']:,} records of {season}?", abort=True, err=True)
	result = archiver.archive_season(season)
	return {**result, "exit_code": int(not result["success"])}


@memora.command()
@click.option("--season", help="By default all that have archived records.")
@click.option("--flag", is_flag=True, help="First flag what is past retention, as is done weekly.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_site
def retention(season: str | None, flag: bool, dry_run: bool, yes: bool) -> dict:
	"""Delete archived records past retention. Exits with 1 when it could not be done."""
	from memora.services import seasons
	from memora.services.srs_archiver import SRSArchiver

	if season:
		seasons.get(season)
	archiver = SRSArchiver()
	flagged = archiver.flag_eligible_for_deletion() if flag and not dry_run else {}
	eligible = archiver.delete_eligible_records(season)["seasons"]
	if dry_run or not eligible:
		return {**flagged, "would_delete": eligible, "deleted_count": 0}
	if not yes:
		for name, count in eligible.items():
			click.echo(f"{name}: {count:,} records", err=True)
		click.confirm("Delete them for good?", abort=True, err=True)
	result = archiver.delete_eligible_records(season, confirm=True)
	return {**flagged, **result, "exit_code": int(not result["success"])}


@memora.command("seed-demo")
@on_site
def seed_demo() -> dict:
	"""Make the question set that comes with the app, and an active season where there is none."""
	from memora import demo_data

	result = {"questions": demo_data.load_question_set(), "season": demo_data.ensure_season()}
	frappe.db.commit()  # nosemgrep: frappe-manual-commit: a command is its own transaction
	return result


@contextmanager
def _bar(length: int) -> Iterator[Callable[[int], None]]:
	"""A progress bar on stderr, moved to absolute positions."""
	with click.progressbar(length=max(length, 1), file=sys.stderr) as bar:
		yield lambda position: bar.update(position - bar.pos)


commands = [memora]
