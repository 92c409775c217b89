"""The bench commands about the keys in Redis: bench --site <site> memora declare-stale, take-keys."""

from typing import Any

import click

from memora.console import confirm, on_site


@click.command("declare-stale")
@on_site
def declare_stale() -> dict[str, Any]:
	"""Have every schedule in Redis loaded again. Exits with 1 when Redis can't be asked, or the keys are another site's."""
	from memora.services.cache import settling
	from memora.services.cache.breaker import Unavailable

	try:
		settling.declare_stale()
	except Unavailable as error:
		return {"error": str(error), "exit_code": 1}
	return {"declared_stale": True}


@click.command("take-keys")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_site
def take_keys(yes: bool) -> dict[str, Any]:
	"""Make the keys in Redis this site's. Exits with 1 when Redis can't be asked.

	For a site whose keys belong to another one that is gone.
	"""
	from memora.services.cache import settling
	from memora.services.cache.breaker import Unavailable

	try:
		owner = settling.find_other_owner()
		if owner and not yes:
			confirm(
				f"The keys belong to {owner}. If it is still there, its learners get Safe Mode. Take them?"
			)
		settling.take_keys()
	except Unavailable as error:
		return {"error": str(error), "exit_code": 1}
	return {"taken_from": str(owner) if owner else "nobody"}


COMMANDS = (declare_stale, take_keys)
