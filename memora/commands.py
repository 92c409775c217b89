"""bench --site <site> memora …: what operators do by hand."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial, wraps
from pathlib import Path
from typing import Any

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


def on_site(command: Callable, show: Callable[[dict], None] | None = None) -> Callable:
	"""Connects to the bench's --site; shows what the command returns, with --json as one JSON object.

	What is refused is {error}, and the exit code 1.
	"""

	@wraps(command)
	def run(context, as_json: bool, **options):
		if len(context.sites or []) > 1:
			raise click.UsageError("Name one site.")
		frappe.init(site=get_site(context))
		frappe.connect()
		try:
			result = command(**options)
		except (MemoraError, click.Abort) as error:
			text = strip_html(str(error)) or "Not confirmed: nothing was done. With --yes nobody is asked."
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


def _show(result: dict) -> None:
	"""One value a line; a list of objects as a table, after the rest."""
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
	"""Numbers to the right, texts to the left."""
	columns = [[name, *(_text(row[name]) for row in rows)] for name in rows[0]]
	for column, value in zip(columns, rows[0].values(), strict=True):
		width = max(map(len, column))
		align = str.rjust if isinstance(value, int | float) else str.ljust
		column[:] = [align(text, width) for text in column]
	for line in zip(*columns, strict=True):
		click.echo("  ".join(line).rstrip())


@memora.command()
@click.option("--parked", is_flag=True, help="Try the parked submissions again, too.")
@on_site
def drain(parked: bool) -> dict:
	"""Fold all answers that wait in the outbox, as the worker does."""
	from memora.services import memory_store, site_time, srs_persistence

	retried = srs_persistence.unpark() if parked else 0
	with _bar(memory_store.get_backlog().waiting) as bar:
		rows = srs_persistence.drain(site_time.naive_now(), SECONDS_TO_DRAIN, bar)
	left = memory_store.get_backlog()
	return {
		"retried": retried,
		"submissions": len(rows),
		"answers": sum(row.answers for row in rows),
		"waiting": left.waiting,
		"parked": left.parked,
	}


@memora.command()
@click.option("--heal", is_flag=True, help="Make the partitions that seasons lack.")
@on_site
def partitions(heal: bool) -> dict:
	"""List the partitions of the tracker, or make missing ones."""
	from memora.services import partition_manager

	healed = partition_manager.heal_partitions() if heal else []
	frappe.db.commit()  # nosemgrep: frappe-manual-commit: a command is its own transaction
	found = partition_manager.list_partitions(TRACKER)
	return {"healed": healed, "partitions": found}


@memora.command()
@click.option("--season", required=True, help="The season to replay.")
@click.option("--player", help="One learner only.")
@click.option("--repair", is_flag=True, help="Write what the journal says wherever the tracker differs.")
@on_site
def replay(season: str, player: str | None, repair: bool) -> dict:
	"""Compare the tracker with the journal. Exits with 1 while they differ."""
	from memora.services import partition_manager, seasons
	from memora.services import replay as service

	season = seasons.get(season).name
	with _bar(partition_manager.estimate_rows("Player Review Log", season)) as bar:
		report = asdict(service.replay(season, player, repair, lambda report: bar(report.answers)))
	return {**report, "exit_code": int(report["differences"] > report["repaired"])}


@memora.command()
@on_site
def status() -> dict:
	"""How the system is. Exits with 1 when something is critical."""
	from memora.services import cache_status, health

	found = health.get()
	checks = [
		{"check": name, "status": check["status"], "message": check["message"]}
		for name, check in found["checks"].items()
	]
	is_critical = found["status"] == health.CRITICAL
	return {"status": found["status"], **cache_status.get(), "checks": checks, "exit_code": int(is_critical)}


def _show_findings(result: dict) -> None:
	"""What is wrong, and below it how to mend it."""
	for finding in result["findings"]:
		click.echo(f"{finding['check']}: {finding['problem']}\n    {finding['mend']}\n")
	click.echo(f"{len(result['checked'])} checks, {len(result['findings'])} findings")


@memora.command()
@partial(on_site, show=_show_findings)
def doctor() -> dict:
	"""Look for what is known to go wrong, and say how to mend it. Exits with 1 when something is found."""
	from memora.services import doctor as service

	findings = service.examine()
	return {
		"checked": list(service.CHECKS),
		"findings": [finding._asdict() for finding in findings],
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
	season = cache_rebuild.require_cache(season)
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
	from memora.services import partition_manager, seasons
	from memora.services.srs_reconciliation import reconcile_cache_with_database

	found = seasons.get(season) if season else seasons.get_active()
	estimate = partition_manager.estimate_rows(TRACKER, found.name) if found else 0
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
	from memora.services import seasons
	from memora.services.srs_archiver import SRSArchiver

	archiver = SRSArchiver()
	season = seasons.get(season).name
	archiver.require_archivable(season)
	found = archiver.get_archive_status(season)
	if dry_run:
		return found
	if not yes:
		_confirm(f"Archive {found['active_records']:,} records of {season}?")
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

	archiver = SRSArchiver()
	season = seasons.get(season).name if season else None
	flagged = archiver.flag_eligible_for_deletion() if flag and not dry_run else {}
	eligible = archiver.delete_eligible_records(season)["seasons"]
	if dry_run or not eligible:
		return {**flagged, "would_delete": eligible, "deleted_count": 0}
	if not yes:
		for name, count in eligible.items():
			click.echo(f"{name}: {count:,} records", err=True)
		_confirm("Delete them for good?")
	result = archiver.delete_eligible_records(season, confirm=True)
	return {**flagged, **result, "exit_code": int(not result["success"])}


@memora.command()
@click.option("--season", help="By default the active one.")
@on_site
def forecast(season: str | None) -> dict:
	"""Compute anew what falls due on each of the next days. Exits with 1 where no season is active."""
	from memora.services import due_forecast

	result = due_forecast.compute(season)
	return {**result, "exit_code": int("error" in result)}


@memora.command()
@click.option("--rebuild", metavar="SEASON", help="First count the days before today anew from the journal.")
@on_site
def activity(rebuild: str | None) -> dict:
	"""Add what has been counted since the last time to Daily Activity."""
	from memora.services import activity as service
	from memora.services import activity_rebuild, partition_manager, seasons

	rebuilt = {}
	if rebuild:
		season = seasons.get(rebuild).name
		with _bar(partition_manager.estimate_rows("Player Review Log", season)) as bar:
			rebuilt = asdict(activity_rebuild.rebuild(season, lambda report: bar(report.answers)))
	return {**rebuilt, "counts": service.sum_up()}


@memora.command("seed-demo")
@on_site
def seed_demo() -> dict:
	"""Make the question set that comes with the app, and an active season where there is none."""
	from memora import demo_data

	result = {"questions": demo_data.load_question_set(), "season": demo_data.ensure_season()}
	frappe.db.commit()  # nosemgrep: frappe-manual-commit: a command is its own transaction
	return result


@memora.command("import-anki")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--subject", help="Which the questions are of.")
@click.option("--topic", help="By default one for each deck, made where there is none.")
@click.option("--learner", help="Whose review history the file holds, if it shall be imported.")
@click.option("--dry-run", is_flag=True, help="Say what would be imported, and what not and why.")
@on_site
def import_anki(
	file: Path, subject: str | None, topic: str | None, learner: str | None, dry_run: bool
) -> dict:
	"""Make questions of a deck that Anki has exported (.apkg). Exits with 1 when it does not complete."""
	from memora.services import anki_import

	if dry_run:
		return anki_import.describe(file)
	if not subject:
		raise click.UsageError("Name the subject of the questions: --subject.")
	name = anki_import.upload(file, subject, topic, learner)
	result = anki_import.run(name)
	return {"import": name, **result, "exit_code": int(result["status"] != "Completed")}


@memora.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where the file is another.")
@click.option("--output", type=click.Path(path_type=Path), help="By default docs/openapi.json of this app.")
def openapi(check: bool, output: Path | None) -> None:
	"""Write the OpenAPI document of the endpoints. Needs no site."""
	from memora.api import openapi as document

	output, text = output or document.committed(), document.dumps()
	if not check:
		output.write_text(text, encoding="utf-8")
	elif not output.is_file() or output.read_text(encoding="utf-8") != text:
		raise click.ClickException(
			f"{output} is not what the endpoints say. {document.COMMAND} writes it anew."
		)


def _confirm(question: str) -> None:
	"""Asks on stderr; click's own would write a blank to stdout. Raises Abort unless the answer is yes."""
	click.echo(f"{question} [y/N] ", nl=False, err=True)
	if sys.stdin.readline().strip().lower() not in ("y", "yes"):
		raise click.Abort


@contextmanager
def _bar(length: int) -> Iterator[Callable[[int], None]]:
	"""A progress bar on stderr, moved to absolute positions; nothing where stderr is no terminal."""
	if not sys.stderr.isatty():
		yield lambda position: None
		return
	with click.progressbar(length=max(length, 1), file=sys.stderr) as bar:
		yield lambda position: bar.update(position - bar.pos)


commands = [memora]
