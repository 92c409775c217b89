"""Each command of the operators' pages is run, and each alert has its section."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import frappe
import pytest
import yaml

from devtools import mariadb
from devtools.paths import PROJECT, current_bench
from devtools.processes import queue_url
from tests.integration import bench_commands, cleaning
from tests.integration.archiving import make_ended_season
from tests.integration.cleaning import srs_redis
from tests.integration.factories import make_learner, make_records

# `bash` blocks change the machine and are not run
PAGES = ("production.md", "install.md", "operations.md", "troubles.md")
OPERATIONS = "\n".join((PROJECT / "docs" / page).read_text() for page in PAGES)
PROGRAMS = ("bench", "redis-cli", "mariadb", "curl", "grep", "df", "uptime")
# test_restores and test_uninstall run these with sites of their own
ELSEWHERE = {
	"bench --site <site> restore <file>",
	"bench --site <other> migrate",
	"bench --site <site> uninstall-app memora",
	"bench --site <site> install-app memora",
	"bench --site <site> memora delete-kept",
}
# What makes or changes a bench: test_production_programs and test_real_bench run some with the real bench, if there is one
OF_BENCH = (
	*("bench init", "bench setup", "bench update", "bench new-site", "bench drop-site", "bench remove-app"),
	"bench set-config -g gunicorn_workers",
)
# Exit with 1 as they find that a test site has no scheduler and the like, or that a busy machine answers slowly
FINDS = ("memora doctor", "memora status")


def commands() -> list[str]:
	"""The lines of all blocks marked `sh`, and inline code that begins with a program; without comments."""
	blocks = re.findall(r"```sh\n(.*?)```", OPERATIONS, re.DOTALL)
	prose = re.sub(r"```.*?```", "", OPERATIONS, flags=re.DOTALL)
	inline = [
		code for code in re.findall(r"`([^`\n]+)`", prose) if code.split()[0] in PROGRAMS and " " in code
	]
	lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
	return sorted({line for line in [*lines, *inline] if line and not line.startswith(OF_BENCH)} - ELSEWHERE)


@pytest.fixture
def places(web, manager) -> Iterator[dict[str, str]]:
	"""Replaces what the page says for a production bench by what it is here."""
	learner, monitor = make_learner(), make_learner(["Memora Monitor"])
	make_records(learner.name, 3)
	bench = current_bench()
	has_scheduler = frappe.db.get_single_value("System Settings", "enable_scheduler")
	key, secret = monitor.token.removeprefix("token ").split(":")
	srs, queue, cache = (
		urlsplit(url) for url in (frappe.conf.srs_redis_cache, queue_url(bench), frappe.conf.redis_cache)
	)
	common = bench.sites / "common_site_config.json"
	configured = common.read_text()
	frappe.db.rollback()  # MariaDB may end a connection that a long command leaves idle in its transaction
	yield {
		"-p 13100": f"-p {srs.port} -n {srs.path.strip('/') or 0}",
		"-p 13000": f"-p {cache.port}",
		"-p 11000": f"-p {queue.port} -n {queue.path.strip('/') or 0}",
		"http://localhost:8000": web.url,
		"<site>": frappe.local.site,
		"<api key>": key,
		"<api secret>": secret,
		"'srs:<learner>:<season>'": f"'{manager._make_key(learner.name, 'SEASON-2026')}'",
		"<season>": "SEASON-2026",
		"<learner>": learner.name,
		"flushdb": "-n 9 flushdb",  # processes that go on remember the generation of the other
	}
	common.write_text(configured)
	srs_redis().config_set("maxmemory", 0)
	cleaning.begin()  # Frappe 16's first backup in a process ends the connection
	frappe.db.set_single_value("System Settings", "enable_scheduler", has_scheduler)
	frappe.db.commit()


def run_bench(args: list[str]) -> tuple[int, str]:
	if args[0] == "worker":  # it handles signals, so it wants a process of its own; and it must end
		return run_shell([sys.executable, "-m", "frappe.utils.bench_helper", "frappe", *args, "--burst"])
	frappe.db.rollback()  # a command may take longer than MariaDB lets a transaction rest
	result = bench_commands.run(*args)
	return result.exit_code, result.output + result.stderr


def run_shell(args: list[str]) -> tuple[int, str]:
	where = current_bench().sites
	done = subprocess.run(args, capture_output=True, text=True, cwd=where, stdin=subprocess.DEVNULL)
	return done.returncode, done.stdout + done.stderr


def run_in_bench_folder(args: list[str]) -> tuple[int, str]:
	return run_shell([arg.removeprefix("sites/") for arg in args])


def run_mariadb(args: list[str]) -> tuple[int, str]:
	return run_shell([str(part) for part in mariadb.client(current_bench(), *args)])


RUN: dict[str, Callable[[list[str]], tuple[int, str]]] = {
	"bench": lambda args: run_bench(args[1:]),
	"mariadb": lambda args: run_mariadb(args[1:]),
	"grep": run_in_bench_folder,
}


@pytest.mark.parametrize("command", commands())
def test_each_command_runs(command, places):
	if "archive <season>" in command:
		command = command.replace("<season>", shlex.quote(make_ended_season()))
	for there, here in places.items():
		command = command.replace(there, here)
	assert "<" not in command, "this place is unknown here"
	args = shlex.split(command)
	code, output = RUN.get(args[0], run_shell)(args)
	allowed = (0, 1) if any(name in command for name in FINDS) else (0,)
	assert code in allowed, output
	if "cluster info" not in command:  # this Redis is none
		assert not re.match(r"\(error\)|ERR |Could not connect", output), output
	assert "Traceback" not in output, output


def test_each_alert_has_its_section():
	groups = yaml.safe_load((PROJECT / "docs" / "monitoring" / "alerts.yml").read_text())["groups"]
	alerts = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
	titles = re.findall(r"^### (.+)$", OPERATIONS, re.MULTILINE)
	described = {name for title in titles for name in title.split(", ") if name.startswith("Memora")}
	assert {*alerts} == described


def test_each_section_of_a_trouble_says_all_of_it():
	troubles = OPERATIONS.split("\n## Troubles")[1]
	for section in troubles.split("\n### ")[1:]:
		assert all(f"**{word}**" in section for word in ("Seen", "Why")), section
		assert re.search(r"\*\*[Mm]end\*\*", section), section


def test_links_lead_somewhere():
	for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", OPERATIONS):
		assert (PROJECT / "docs" / target).resolve().exists(), target
	anchors = {
		re.sub(r"[^\w\- ]", "", t).lower().replace(" ", "-")
		for t in re.findall(r"^#+ (.+)$", OPERATIONS, re.M)
	}
	assert {*re.findall(r"\]\(#([^)]+)\)", OPERATIONS)} <= anchors
