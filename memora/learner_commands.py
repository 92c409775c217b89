"""The bench commands about one learner's data: bench --site <site> memora export-learner, erase-learner."""

from pathlib import Path
from typing import Any

import click

from memora.console import bar, confirm, on_site


@click.command("export-learner")
@click.argument("learner")
@click.option(
	"--output",
	type=click.Path(dir_okay=False, path_type=Path),
	help="By default, memora-<id>.zip in the working directory.",
)
@on_site
def export_learner(learner: str, output: Path | None) -> dict[str, Any]:
	"""Write all that is stored of a learner into a zip. LEARNER is a user or a learner's ID."""
	from memora.services.operations import exporting

	return exporting.export_to(learner, output)


@click.command("erase-learner")
@click.argument("learner")
@click.option("--dry-run", is_flag=True, help="Only count what is stored of her.")
@click.option("--detach", is_flag=True, help="Keep the rows, but nobody's: only cut the link to her user.")
@click.option("--reference", help="Why, such as the number of a letter. It is kept, so it must not name her.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_site
def erase_learner(
	learner: str, dry_run: bool, detach: bool, reference: str | None, yes: bool
) -> dict[str, Any]:
	"""Delete all that is stored of a learner. Exits with 1 when not all could be deleted: run it again.

	LEARNER is a user or a learner's ID.
	"""
	from memora.services.operations import erasing

	found = erasing.count_rows(learner)
	if dry_run:
		return {"stored": found}
	if not yes:
		for where, rows in found.items():
			click.echo(f"{where}: {rows:,}", err=True)
		confirm(f"{'Detach' if detach else 'Erase'} {learner} for good?")
	kind = erasing.DETACH if detach else erasing.ERASE
	with bar(len(erasing.ERASING)) as move_bar:
		result = erasing.run(learner, kind, "Command", reference, lambda done, _all, _name: move_bar(done))
	return {**result, "exit_code": int("error" in result)}


COMMANDS = (export_learner, erase_learner)
