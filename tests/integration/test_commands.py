"""`bench --site <site> memora …`: what is printed, where, and with which exit code."""

import json
import os
import pty
import subprocess
from typing import Any

import frappe
import pytest
from click.testing import Result

from devtools import ports, sites
from devtools.paths import current_bench
from memora import demo_data
from memora.services.srs_redis_manager import rebuild_season_cache
from memora.services.store import outbox
from tests.integration import bench_commands, state
from tests.integration.archiving import make_ended_season
from tests.integration.cleaning import srs_redis
from tests.integration.factories import make_record, make_records, make_waiting_submission, site_now
from tests.integration.site_config import site_config
from tests.integration.test_retention import archived, make_archived_season

NOBODY_THERE = "Not confirmed, so nothing was done. --yes skips the question."


def run(*args: str, input: str = "") -> Result:
	"""The command in this process, with a connection of its own."""
	frappe.db.rollback()
	return bench_commands.run("--site", frappe.local.site, "memora", *args, input=input)


def run_json(*args: str) -> tuple[int, dict[str, Any]]:
	"""(exit code, what it printed)."""
	done = run(*args, "--json")
	assert done.stderr == ""
	assert done.stdout.count("\n") == 1, done.exception
	return done.exit_code, json.loads(done.stdout)


def process(*args: str, **options: Any) -> "subprocess.CompletedProcess[str]":
	"""The command as an operator runs it, with nobody at the keyboard."""
	frappe.db.rollback()
	bench = current_bench()
	command = sites.bench_command(bench, "--site", frappe.local.site, "memora", *args)
	streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
	return subprocess.run(command, cwd=bench.sites, text=True, **streams)


def wait(player: str, season: str) -> str:
	return make_waiting_submission(player, season, make_record("q-1"), make_record("q-2"))


# As processes


def test_doctor_finds_what_the_tests_site_has_off():
	done = process("doctor", "--json")
	found = json.loads(done.stdout)
	assert [finding["check"] for finding in found["findings"]] == [*["queue_workers"] * 3, "scheduler"]
	assert (done.returncode, done.stderr) == (1, "")


def test_a_dry_run_changes_nothing():
	season = make_ended_season(20)
	with state.nothing_changes():
		done = process("archive", season, "--dry-run", "--json")
	assert (done.returncode, json.loads(done.stdout)["active_records"]) == (0, 20)


def test_nothing_is_archived_unless_somebody_says_yes():
	season = make_ended_season(20)
	with state.nothing_changes():
		done = process("archive", season)
	assert (done.returncode, done.stdout) == (1, "")
	assert "Archive 20 records of" in done.stderr
	assert done.stderr.endswith(f"Error: {NOBODY_THERE}\n")


def test_whoever_is_asked_may_say_yes_or_no():
	season = make_ended_season(3)
	with state.nothing_changes():
		assert run("archive", season, input="no\n").exit_code == 1
	assert run("archive", season, input="y\n").exit_code == 0
	assert archived(season) == 3


def test_a_season_whose_end_lies_ahead_is_archived_by_who_says_so():
	end = frappe.utils.add_days(frappe.utils.getdate(), 9)
	season = make_ended_season(3, end_date=end)
	with state.nothing_changes():
		assert "before_its_end" in run("archive", season, "--yes").stderr
		assert run_json("archive", season, "--dry-run")[0] == 0
		asked = run("archive", season, "--before-its-end", input="no\n")
		assert f"which ends on {end}" in asked.stderr
	assert run("archive", season, "--before-its-end", "--yes").exit_code == 0
	assert archived(season) == 3


def test_an_unknown_season_is_named():
	done = process("rebuild-cache", "--season", "Nowhere")
	assert (done.returncode, done.stdout) == (1, "")
	assert done.stderr == "Error: There is no season Nowhere.\n"


def test_a_terminal_sees_a_bar_and_the_reader_of_stdout_one_object(player, season):
	wait(player, season)
	terminal, end = pty.openpty()
	done = process("drain", "--json", stderr=end)
	os.close(end)
	assert json.loads(done.stdout) == {
		"retried": 0,
		"submissions": 1,
		"answers": 2,
		"waiting": 0,
		"parked": 0,
		"held": 0,
		"why": None,
	}
	assert done.returncode == 0
	assert b"100%" in os.read(terminal, 10_000)
	os.close(terminal)


# In this process


@pytest.mark.parametrize(
	"command",
	[
		("rebuild-cache", "--season", "Nowhere"),
		("rebuild-cache", "--season", "Nowhere", "--cancel"),
		("reconcile", "--season", "Nowhere"),
		("archive", "Nowhere", "--yes"),
		("retention", "--season", "Nowhere", "--yes"),
		("replay", "--season", "Nowhere"),
	],
	ids=lambda command: command[0],
)
def test_an_unknown_season_changes_nothing(command):
	with state.nothing_changes():
		assert run_json(*command) == (1, {"error": "There is no season Nowhere."})


def test_one_site_at_a_time():
	done = bench_commands.run("--site", "all", "memora", "status")
	assert (done.exit_code, done.stdout) == (2, "")
	assert "Name one site." in done.stderr


def test_status_exits_with_1_while_something_is_critical(player, season):
	rebuild_season_cache(season)
	# the tests before may have answered slowly: how long requests took is not what is looked at here
	slow = {
		f"{kind}_p99_{level}_ms": 60_000 for kind in ("read", "submit") for level in ("warning", "critical")
	}
	frappe.get_single("Memora Settings").update(slow).save()
	frappe.db.commit()
	code, found = run_json("status")
	assert (code, found["status"], found["redis_connected"], found["is_exact"]) == (0, "ok", True, True)
	assert {check["check"] for check in found["checks"]} >= {"schedules_redis", "queue_depth", "outbox"}
	with site_config(srs_redis_cache=f"redis://127.0.0.1:{ports.any_free()}/0"):
		done = run("status")
	assert done.exit_code == 1
	assert "redis connected  no\n" in done.stdout
	assert "schedules_redis   critical  The Redis for schedules can't be reached" in done.stdout


def test_what_people_read_is_aligned(player, season):
	make_records(player, 2)
	lines = run("partitions").stdout.splitlines()
	header, *rows = lines[lines.index("") + 1 :]
	assert header.split() == ["name", "season", "rows", "bytes"]
	assert {len(line) for line in rows} == {len(header)}
	assert season in {line[header.index("season") :].split()[0] for line in rows}


def test_doctor_says_how_to_mend():
	done = run("doctor")
	mend = f"    bench --site {frappe.local.site} enable-scheduler\n"
	assert f"\n\nscheduler: The scheduler is off.\n{mend}" in done.stdout
	assert done.stdout.endswith(" checks, 4 findings\n")
	assert done.exit_code == 1


def test_doctor_looks_on_without_mariadb():
	with site_config(db_port=ports.any_free()):
		code, found = run_json("doctor")
	assert code == 1
	assert found["findings"][0]["check"] == "mariadb_reachable"
	assert {f["check"] for f in found["findings"]} >= {"partitions", "queue_worked", "clocks"}


def test_a_rebuild(player, season):
	make_records(player, 3)
	assert run_json("rebuild-cache", "--season", season.lower()) == (
		0,
		{"total_records": 3, "total_users": 1, "total_keys": 1, "status": "completed"},
	)
	assert state.cached(player, season) == state.scores(player, season) != {}
	assert run_json("rebuild-cache", "--season", season, "--cancel") == (0, {"cancelled": False})


def test_a_rebuild_without_redis_exits_with_1(player, season):
	make_records(player, 3)
	with site_config(srs_redis_cache=f"redis://127.0.0.1:{ports.any_free()}/0"):
		code, result = run_json("rebuild-cache", "--season", season)
	assert (code, result["status"]) == (1, "failed")
	assert result["error"].startswith("The Redis for schedules can't be reached")


def test_a_reconciliation_exits_with_1_where_more_is_wrong_than_may_be(player, season):
	make_records(player, 3)
	rebuild_season_cache(season)
	srs_redis().zadd(f"srs:{player}:{season}", {"ghost": 1.0})
	code, result = run_json("reconcile", "--all")
	assert (code, result["ghosts"], result["auto_corrected"], result["sample_size"]) == (1, 1, 1, 3)
	code, result = run_json("reconcile", "--season", season, "--learner", player)
	assert (code, result["discrepancies_found"], result["sample_size"]) == (0, 0, 3)
	code, result = run_json("reconcile", "--sample-size", "0")
	assert (code, list(result)) == (1, ["error"])


def test_an_archive_run():
	season = make_ended_season(20)
	assert run_json("archive", season, "--yes") == (
		0,
		{"success": True, "archived_count": 20, "season": season},
	)
	assert archived(season) == 20
	assert run_json("archive", season, "--yes") == (1, {"error": f"Season {season} is archived already."})


def test_retention():
	season = make_archived_season(20, old_rows=7)
	assert run_json("retention", "--season", season, "--flag", "--dry-run")[1]["would_delete"] == {}
	refused = run("retention", "--flag", "--json")
	assert (refused.exit_code, json.loads(refused.stdout)) == (1, {"error": NOBODY_THERE})
	assert f"{season}: 7 × Archived Memory Tracker" in refused.stderr
	with state.nothing_changes():
		code, result = run_json("retention", "--dry-run")
		assert (code, result["would_delete"]) == (0, {season: 7})
		assert result["rows"] == {season: {"Archived Memory Tracker": 7}}
	code, result = run_json("retention", "--season", season.lower(), "--yes")
	assert (code, result["deleted_count"], result["seasons"]) == (0, 7, {season: 7})
	assert archived(season) == 13


def test_a_drain_of_what_was_parked(player, season):
	name = wait(player, season)
	outbox.park(name, "a cause that is mended by now", site_now())
	frappe.db.commit()
	code, result = run_json("drain")
	assert (code, result["submissions"], result["waiting"], result["parked"]) == (0, 0, 0, 1)
	code, result = run_json("drain", "--parked")
	assert (code, result["retried"], result["submissions"], result["answers"]) == (0, 1, 1, 2)
	assert state.tracker(player).keys() == {"q-1", "q-2"}


@pytest.mark.slow
def test_demo_data_leaves_the_active_season(season):
	assert run_json("seed-demo") == (0, {"questions": 197, "season": season})


def test_demo_data_bring_a_season_where_none_is_active(season):
	frappe.db.set_value("Game Subscription Season", season, "is_active", 0)
	frappe.db.commit()
	name = demo_data.ensure_season()
	assert name == f"DEMO-{frappe.utils.getdate()}"
	assert frappe.db.get_value("Game Subscription Season", name, ["is_active", "partition_created"]) == (1, 1)
	assert demo_data.ensure_season() == name
	frappe.db.commit()
