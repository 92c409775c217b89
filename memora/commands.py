"""The bench commands for operators: bench --site <site> memora <command>."""

import sys
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import frappe

from memora import learner_commands, production_commands, redis_commands, season_commands, worker_urls
from memora.console import bar, confirm, on_site

SECONDS_TO_DRAIN = 3600
WHY_HELD = "Other processes hold rows of the held submissions. MariaDB takes them from a process that hangs after 30 s."
TRACKER = "Player Memory Tracker"
FOLDS_LOAD = (
	"memora.services.srs_persistence",
	*("frappe.recorder", "frappe.utils.logger"),
	*("frappe.database.mariadb.database", "frappe.database.mariadb.mysqlclient", "MySQLdb.connections"),
)

# Frappe imports this module in each process of `bench`, before the command runs
worker_urls.let_workers_wait(sys.argv[1:])


@click.group()
def memora() -> None:
	"""The spaced-repetition engine: its answers, caches, seasons and health."""


@memora.command()
@click.option("--parked", is_flag=True, help="Try the parked submissions again, too.")
@on_site
def drain(parked: bool) -> dict[str, Any]:
	"""Fold all answers that wait in the outbox into the tracker. Exits with 1 when other processes keep some from it."""
	from memora.services import site_time
	from memora.services.folding import folds
	from memora.services.store import outbox

	retried = folds.unpark() if parked else 0
	with bar(outbox.count_all()[0]) as move_bar:
		drained = folds.drain_beside_workers(site_time.naive_now(), SECONDS_TO_DRAIN, move_bar)
	waiting, parked_left = outbox.count_all()
	return {
		"retried": retried,
		"submissions": len(drained.folded),
		"answers": sum(row.answers for row in drained.folded),
		"waiting": waiting,
		"parked": parked_left,
		"held": drained.held,
		"why": WHY_HELD if drained.held else None,
		"exit_code": int(bool(drained.held)),
	}


@memora.command()
@click.option("--heal", is_flag=True, help="Make the partitions that seasons lack.")
@on_site
def partitions(heal: bool) -> dict[str, Any]:
	"""List the partitions of the tracker, or make missing ones."""
	from memora.services.store import partitions, tables

	healed = partitions.heal_partitions() if heal else []
	frappe.db.commit()  # a command is its own transaction
	found = tables.list_partitions(TRACKER)
	return {"healed": healed, "partitions": found}


@memora.command()
@click.option("--season", required=True, help="The season to replay.")
@click.option("--learner", help="One learner only: her e-mail or id.")
@click.option(
	"--repair",
	is_flag=True,
	help="Write what the journal says wherever the tracker lacks it. Sets nothing back.",
)
@on_site
def replay(season: str, learner: str | None, repair: bool) -> dict[str, Any]:
	"""Compare the tracker with the journal. Exits with 1 while they differ."""
	from memora.services.operations.replay import replay_season
	from memora.services.store import seasons, tables

	season, learner = seasons.get_season(season).name, _identified(learner)
	with bar(tables.estimate_rows("Player Review Log", season)) as move_bar:
		report = asdict(replay_season(season, learner, repair, lambda report: move_bar(report.answers)))
	return {**report, "exit_code": int(report["differences"] > report["repaired"])}


def _identified(learner: str | None) -> str | None:
	"""Returns the id of a learner whom an option names by e-mail or id. Raises UnknownLearner."""
	from memora.services.learning import learners

	return learners.identify(learner) if learner else None


@memora.command()
@on_site
def status() -> dict[str, Any]:
	"""Show how the system is. Exits with 1 when a check is critical."""
	from memora.services import site_time
	from memora.services.cache import status
	from memora.services.operations import health, job_types

	found = health.get_health()
	checks = [
		{"check": name, "status": check["status"], "message": check["message"]}
		for name, check in found["checks"].items()
	]
	is_critical = found["status"] == health.CRITICAL
	return {
		"status": found["status"],
		"site_time": f"{site_time.naive_now():%Y-%m-%d %H:%M:%S} {site_time.site_zone().key}",
		**status.get_cache_status(),
		"checks": checks,
		"workers": _get_workers(),
		"scheduled_jobs": [
			{"job": job, "last_run": last or "never"} for job, last in job_types.get_last_runs().items()
		],
		"exit_code": int(is_critical),
	}


def _get_workers() -> list[dict[str, Any]]:
	from redis.exceptions import RedisError

	from memora.services import site_time
	from memora.services.operations import workers

	try:
		alive = workers.get_alive()
	except RedisError:  # the check of the queue tells of it
		return []
	return [
		{
			"queue": queue,
			"workers": len(births),
			"oldest_since": site_time.to_naive(births[0]).replace(microsecond=0),
		}
		for queue, births in sorted(alive.items())
	]


def _show_findings(result: dict[str, Any]) -> None:
	"""Prints each fault, and below the fault how to mend it."""
	for finding in result["findings"]:
		click.echo(f"{finding['check']}: {finding['problem']}\n    {finding['mend']}\n")
	count = len(result["findings"])
	click.echo(f"{len(result['checked'])} checks, {count} {'finding' if count == 1 else 'findings'}")


@memora.command()
@partial(on_site, show=_show_findings)
def doctor() -> dict[str, Any]:
	"""Look for known faults, and say how to mend each fault. Exits with 1 when a fault is found."""
	from memora.services.operations import doctor as service

	findings = service.examine()
	return {
		"checked": list(service.CHECKS),
		"notes": service.get_notes(),
		"findings": [finding._asdict() for finding in findings],
		"exit_code": int(bool(findings)),
	}


@memora.command("rebuild-cache")
@click.option("--season", required=True, help="The season whose schedules to load into Redis.")
@click.option("--batch-size", default=1000, show_default=True, help="Records to load at a time.")
@click.option(
	"--restart", is_flag=True, help="Start from the beginning, even if an earlier run was not completed."
)
@click.option("--cancel", is_flag=True, help="Stop the rebuild that is running instead.")
@on_site
def rebuild_cache(season: str, batch_size: int, restart: bool, cancel: bool) -> dict[str, Any]:
	"""Load the schedules of a whole season into Redis. Exits with 1 when it does not complete."""
	from memora.services.cache import rebuild
	from memora.services.store import tables

	if cancel:
		return {"cancelled": rebuild.cancel_rebuild(season)}
	season = rebuild.require_cache(season)
	with bar(tables.estimate_rows(TRACKER, season)) as move_bar:
		result = rebuild.rebuild_cache(season, batch_size, restart, lambda doc: move_bar(doc.records))
	return {**result, "exit_code": int(result["status"] != "completed")}


@memora.command()
@click.option("--season", help="By default, the active season.")
@click.option("--learner", help="One learner only: her e-mail or id.")
@click.option("--sample-size", default=10_000, show_default=True, help="Records to compare.")
@click.option("--all", "all_learners", is_flag=True, help="Compare all learners instead of a sample.")
@on_site
def reconcile(
	season: str | None, learner: str | None, sample_size: int, all_learners: bool
) -> dict[str, Any]:
	"""Compare Redis with MariaDB, and correct Redis. Exits with 1 when more is wrong than the settings allow."""
	from memora.services.cache import reconciliation
	from memora.services.store import seasons, tables

	found = seasons.get_season(season) if season else seasons.get_active_season()
	estimate = tables.estimate_rows(TRACKER, found.name) if found else 0
	with bar(estimate if all_learners else min(sample_size, estimate)) as move_bar:
		result = reconciliation.reconcile(
			None if all_learners else sample_size,
			season,
			_identified(learner),
			lambda report: move_bar(report.sample_size),
		)
	return {**result, "exit_code": int(bool(result["error"]) or result["alert_triggered"])}


@memora.command()
@click.option("--season", help="By default, the active season.")
@on_site
def forecast(season: str | None) -> dict[str, Any]:
	"""Compute what falls due on each of the next days. Exits with 1 when no season is active."""
	from memora.services.figures import due_forecast

	result = due_forecast.compute_forecast(season)
	return {**result, "exit_code": int("error" in result)}


@memora.command()
@click.option(
	"--rebuild", metavar="SEASON", help="First count all days before today again, from the journal."
)
@on_site
def activity(rebuild: str | None) -> dict[str, Any]:
	"""Add the answers counted since the last run to Daily Activity."""
	from memora.services.figures import activity_rebuild
	from memora.services.figures.activity import sum_up
	from memora.services.store import seasons, tables

	rebuilt = {}
	if rebuild:
		season = seasons.get_season(rebuild).name
		with bar(tables.estimate_rows("Player Review Log", season)) as move_bar:
			rebuilt = asdict(
				activity_rebuild.rebuild_activity(season, lambda report: move_bar(report.answers))
			)
	return {**rebuilt, "counts": sum_up()}


@memora.command("seed-demo")
@on_site
def seed_demo() -> dict[str, Any]:
	"""Make the questions that come with the app, and an active season if there is none."""
	from memora import demo_data

	result = {"questions": demo_data.load_question_set(), "season": demo_data.ensure_season()}
	frappe.db.commit()  # a command is its own transaction
	return result


@memora.command("import-anki")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--subject", help="The subject of the questions.")
@click.option("--topic", help="By default, a topic for each deck, made if it does not exist.")
@click.option(
	"--learner", help="The e-mail or id of the learner whose review history is imported from the file."
)
@click.option(
	"--change-others", is_flag=True, help="Also change questions that somebody else made or changed last."
)
@click.option(
	"--overwrite-edits",
	is_flag=True,
	help="Also change questions that somebody has changed here since the last import.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be imported, and why the rest would not.")
@on_site
def import_anki(
	file: Path,
	subject: str | None,
	topic: str | None,
	learner: str | None,
	change_others: bool,
	overwrite_edits: bool,
	dry_run: bool,
) -> dict[str, Any]:
	"""Make questions from a deck that Anki has exported (.apkg). Exits with 1 when the import does not complete."""
	from memora.services.anki import importer

	if dry_run:
		return importer.describe_package(file)
	if not subject:
		raise click.UsageError("Name the subject of the questions: --subject.")
	name = importer.upload_package(file, subject, topic, learner, change_others, overwrite_edits)
	result = importer.run_import(name)
	return {"import": name, **result, "exit_code": int(result["status"] != "Completed")}


@memora.command("delete-kept")
@click.option("--yes", is_flag=True, help="Do not ask.")
@partial(on_site, is_of_installed=False)
def delete_kept(yes: bool) -> dict[str, Any]:
	"""Delete what was kept when Memora was uninstalled: what learners have learned, and its roles."""
	from memora import uninstall

	if not yes:
		confirm(
			f"Delete what learners have learned on {frappe.local.site}, and take Memora's roles from who has them?"
		)
	return {"tables": uninstall.remove()}


@memora.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if the file is out of date.")
@click.option("--output", type=click.Path(path_type=Path), help="By default, docs/openapi.json of this app.")
def openapi(check: bool, output: Path | None) -> None:
	"""Write the OpenAPI document of the endpoints. Needs no site."""
	from memora.api import openapi as document

	output, text = output or document.committed(), document.dumps()
	if not check:
		output.write_text(text, encoding="utf-8")
	elif not output.is_file() or output.read_text(encoding="utf-8") != text:
		raise click.ClickException(f"{output} is out of date. {document.COMMAND} writes it again.")


def load_for_folds() -> None:
	"""Loads what folds use, in a worker, before it forks. Otherwise each fork loads it again, which costs more than the fold."""
	if not {"worker", "worker-pool"} & set(sys.argv):
		return
	for name in FOLDS_LOAD:
		with suppress(ImportError):  # a bench can do without one of both drivers
			import_module(name)


for command in (
	*season_commands.COMMANDS,
	*learner_commands.COMMANDS,
	*redis_commands.COMMANDS,
	*production_commands.COMMANDS,
):
	memora.add_command(command)
commands = [memora]
load_for_folds()
