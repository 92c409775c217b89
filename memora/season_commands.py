"""The bench commands about seasons; see commands."""

from typing import Any

import click

from memora.console import bar, confirm, on_site


@click.command("switch-season")
@click.argument("season")
@click.option("--dry-run", is_flag=True, help="Only say what would close, and what would open.")
@on_site
def switch_season(season: str, dry_run: bool) -> dict[str, Any]:
	"""Close the active season and open another, in one step. Exits with 1 when that is refused."""
	from memora.services.operations import switching

	return dict(switching.describe_switch(season) if dry_run else switching.switch_season(season))


@click.command()
@click.argument("season")
@click.option("--dry-run", is_flag=True, help="Only say what would be moved.")
@click.option("--before-its-end", is_flag=True, help="Also if the season's last day is not over.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_site
def archive(season: str, dry_run: bool, before_its_end: bool, yes: bool) -> dict[str, Any]:
	"""Move the records of a season that is over to the archive. Exits with 1 when they could not be moved."""
	from memora.services.operations import archiving
	from memora.services.srs_archiver import SRSArchiver
	from memora.services.store import seasons

	archiver = SRSArchiver()
	season = seasons.get_season(season).name
	archiving.require_archivable(season, before_its_end or dry_run)
	found = archiver.get_archive_status(season)
	if dry_run:
		return dict(found)
	if not yes:
		ahead = "" if archiving.is_over(found["end_date"]) else f", which ends on {found['end_date']}"
		confirm(f"Archive {found['active_records']:,} records of {season}{ahead}?")
	result = archiver.archive_season(season, before_its_end=before_its_end)
	return {**result, "exit_code": int(not result["success"])}


@click.command()
@click.option("--season", help="By default, all seasons.")
@click.option(
	"--flag", is_flag=True, help="First flag what is past the retention period, as the weekly job does."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_site
def retention(season: str | None, flag: bool, dry_run: bool, yes: bool) -> dict[str, Any]:
	"""Delete archived records, answers and figures past the retention period. Exits with 1 when they could not be deleted."""
	from memora.services.srs_archiver import SRSArchiver
	from memora.services.store import seasons

	archiver = SRSArchiver()
	season = seasons.get_season(season).name if season else None
	flagged = archiver.flag_eligible_for_deletion() if flag and not dry_run else {}
	eligible = archiver.delete_eligible_records(season)
	if dry_run or not eligible["rows"]:
		found = {"would_delete": eligible["seasons"], "rows": eligible["rows"], "deleted_count": 0}
		return {**flagged, **found}
	if not yes:
		for name, rows in eligible["rows"].items():
			for doctype, count in rows.items():
				click.echo(f"{name}: {count:,} × {doctype}", err=True)
		confirm("Delete them for good?")
	result = archiver.delete_eligible_records(season, confirm=True)
	return {**flagged, **result, "exit_code": int(not result["success"])}


@click.command("move-dates")
@click.option("--season", required=True, help="The season whose end or whose days have changed.")
@click.option("--dry-run", is_flag=True, help="Only count the dates that would be moved.")
@on_site
def move_dates(season: str, dry_run: bool) -> dict[str, Any]:
	"""Move the dates that a change of the calendar has made wrong. Exits with 1 when they could not be moved."""
	from memora.services.operations import moving_dates

	if dry_run:
		return {"season": season, "would_move": moving_dates.count_moved(season)}
	with bar(100) as move_bar:
		result = moving_dates.move_dates(season, even_unchanged=True, progress=move_bar)
	return {**result, "exit_code": int("error" in result)}


COMMANDS = [switch_season, archive, retention, move_dates]
