"""bench --site <site> memora …: what operators do by hand."""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps

import click
import frappe
from frappe.commands import get_site, pass_context
from frappe.utils import strip_html

from memora.exceptions import MemoraError

SECONDS_TO_DRAIN = 3600


@click.group()
def memora():
	"""The spaced-repetition engine: its outbox and its journal."""


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
		_print(result, as_json)
		if result.get("differences", 0) > result.get("repaired", 0):
			raise SystemExit(1)

	return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(pass_context(run))


def _print(result: dict, as_json: bool) -> None:
	if as_json:
		click.echo(json.dumps(result, default=str))
		return
	for name, value in result.items():
		for line in value if isinstance(value, list) else [value]:
			click.echo(f"{name.replace('_', ' '):>14}  {line}")


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
	return asdict(service.replay(season, player, repair))


commands = [memora]
