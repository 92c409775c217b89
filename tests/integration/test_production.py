"""What setup-production writes, refuses and leaves alone."""

import json
import os
import pwd
import shutil
import socket
from pathlib import Path

import frappe
import pytest

from devtools import ports
from memora.exceptions import SetupRefused
from memora.services.operations import production, production_config, production_steps
from memora.services.operations.production import Options, Plan
from memora.services.operations.production_bench import choose_port
from tests.integration import bench_commands, production_bench
from tests.integration.production_bench import SITE, files, read_common, write_common

PASSWORDS = {
	"redis_cache": "redis://:sesame%2F@127.0.0.1:1",
	"root_password": "abracadabra",
	"mail": {"key": "shazam"},
}


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Path:
	production_bench.put_on_path(tmp_path / "bin", monkeypatch)
	return production_bench.make(tmp_path)


def plan_of(bench: Path, conf: dict | None = None, **options) -> Plan:
	return production.make_plan(bench, SITE, {**read_common(bench), **(conf or {})}, Options(**options))


def changed(plan: Plan) -> set[str]:
	return {str(file.path.relative_to(plan.bench.folder)) for file in plan.changed}


def test_a_second_run_changes_nothing(bench):
	plan = plan_of(bench)
	assert changed(plan) == {
		"sites/common_site_config.json",
		*(f"config/memora/{name}" for name in ("nginx.conf", f"prometheus.{SITE}.yml", "redis_queue.conf")),
		*(f"config/memora/{name}" for name in ("redis_srs.conf", "supervisor.conf")),
	}
	production.write(plan)
	assert changed(plan_of(bench)) == set()
	assert production_steps.steps(plan_of(bench)) == production_steps.steps(plan)


def test_a_second_site_adds_its_own_job_for_prometheus_alone(bench):
	production.write(plan_of(bench))
	second = production.make_plan(bench, "second.example", read_common(bench), Options())
	assert changed(second) == {"config/memora/prometheus.second.example.yml"}


def test_a_plan_alone_writes_nothing(bench):
	before = files(bench)
	assert all(file.diff() for file in plan_of(bench).changed)
	assert files(bench) == before


def test_what_was_chosen_once_stays(bench):
	production.write(plan_of(bench, port=13987, memory="3GB"))
	assert changed(plan_of(bench)) == set()
	conf = (bench / "config/memora/redis_srs.conf").read_text()
	assert "port 13987\n" in conf and "maxmemory 3gb\n" in conf


def test_a_redis_that_runs_is_restarted_for_its_new_settings(bench):
	restart = f"supervisorctl restart {bench.name}-redis-srs"
	first = plan_of(bench)
	assert restart not in [step.run for step in production_steps.steps(first)]
	production.write(first)
	assert restart not in [step.run for step in production_steps.steps(plan_of(bench))]
	for options in ({"memory": "3GB"}, {"port": 13987}):
		plan = plan_of(bench, **options)
		production.write(plan)
		assert restart in [step.run for step in production_steps.steps(plan)]


def test_the_configuration_is_merged(bench):
	"""What is there stays, in its order and with its indentation; bench reads the rest."""
	workers = {"ours": {"timeout": 5000}, "srs_write": {"background_workers": 3}}
	before = {
		"z": "é",
		"workers": workers,
		"redis_queue": "redis://127.0.0.1:1/2?socket_timeout=7",
		"a": [1, {"b": 2}],
	}
	text = json.dumps(before, indent=4, ensure_ascii=False) + "\n"
	after = production_config.merge(text, 13100)
	conf = json.loads(after)
	assert list(conf) == [*before, "srs_redis_cache"]
	assert conf["workers"] == {
		"ours": {"timeout": 5000},
		"srs_write": {"background_workers": 3, "timeout": 300},
	}
	assert conf["redis_queue"] == "redis://127.0.0.1:1/2?socket_timeout=7&socket_connect_timeout=0.5"
	assert conf["srs_redis_cache"] == "redis://127.0.0.1:13100?socket_connect_timeout=0.25&socket_timeout=0.5"
	assert (conf["z"], conf["a"]) == (before["z"], before["a"])
	assert "\n    " in after and "é" in after and after.endswith("}\n")
	assert production_config.merge(after, 13100) == after


@pytest.mark.parametrize(
	("url", "after"),
	[
		("redis://h:1", "redis://h:1?socket_connect_timeout=0.5&socket_timeout=0.5"),
		("redis://u:p%3F@h:1/0?", "redis://u:p%3F@h:1/0?socket_connect_timeout=0.5&socket_timeout=0.5"),
		(
			"rediss://h:1?ssl_ca_certs=/c",
			"rediss://h:1?ssl_ca_certs=/c&socket_connect_timeout=0.5&socket_timeout=0.5",
		),
		(
			"redis://h:1?socket_timeout=9&socket_connect_timeout=",
			"redis://h:1?socket_timeout=9&socket_connect_timeout=",
		),
		("unix:///run/redis.sock", "unix:///run/redis.sock"),
	],
)
def test_timeouts_are_added_where_there_are_none(url, after):
	assert production_config.with_timeouts(url, 0.5) == after


def test_nobody_is_shown_a_password(bench):
	write_common(bench, {**read_common(bench), **PASSWORDS})
	(common,) = [file for file in plan_of(bench).changed if file.path.suffix == ".json"]
	shown = common.diff()
	assert "+ " in shown and '"srs_redis_cache": "redis://127.0.0.1:' in shown
	assert "redis://:password@127.0.0.1:1?socket_connect_timeout=0.5" in shown
	assert [word for word in ("sesame", "abracadabra", "shazam") if word in shown] == []
	assert read_common(bench)["root_password"] == "abracadabra"


def test_files_keep_their_mode_and_links(bench, tmp_path):
	common = bench / "sites" / "common_site_config.json"
	target = common.rename(tmp_path / "elsewhere.json")
	common.symlink_to(target)
	target.chmod(0o600)
	production.write(plan_of(bench))
	assert common.is_symlink() and target.stat().st_mode & 0o777 == 0o600
	assert "srs_redis_cache" in target.read_text()


# Ports


def test_a_port_that_another_bench_beside_has_is_left_to_it(bench):
	beside = bench.parent / "beside" / "sites"
	beside.mkdir(parents=True)
	port = choose_port(plan_of(bench).bench, {}, None)
	(beside / "common_site_config.json").write_text(
		json.dumps({"srs_redis_cache": f"redis://localhost:{port}"})
	)
	assert choose_port(plan_of(bench).bench, {}, None) > port


def test_a_port_that_is_taken_is_refused_or_passed_over(bench):
	with socket.create_server(("127.0.0.1", 0)) as other:
		port = other.getsockname()[1]
		for conf, options in (({"srs_redis_cache": f"redis://localhost:{port}"}, {}), ({}, {"port": port})):
			with pytest.raises(SetupRefused, match=str(port)):
				plan_of(bench, conf, **options)
	taken = int(read_common(bench)["redis_queue"].rpartition(":")[2])
	with pytest.raises(SetupRefused, match=str(taken)):
		plan_of(bench, port=taken)


@pytest.mark.parametrize(
	"conf",
	[
		{"srs_redis_cache": "redis://10.0.0.9:13100"},
		{"srs_redis_cache": "rediss://localhost:13100"},
		{"srs_redis_sentinel": {"sentinels": ["10.0.0.1"], "master_name": "memora"}},
		{"srs_redis_cluster": ["10.0.0.2:13100"]},
	],
)
def test_a_redis_that_somebody_else_runs_stays_theirs(bench, conf):
	write_common(bench, {**read_common(bench), **conf})
	plan = plan_of(bench)
	assert "config/memora/redis_srs.conf" not in changed(plan)
	production.write(plan)
	assert read_common(bench).get("srs_redis_cache") == conf.get("srs_redis_cache")


def test_without_any_redis_of_this_machine(bench, tmp_path, monkeypatch):
	(tmp_path / "no-redis").mkdir()
	(tmp_path / "no-redis" / "bench").symlink_to(shutil.which("bench"))
	monkeypatch.setenv("PATH", str(tmp_path / "no-redis"))
	plan = plan_of(bench, skip_redis=True)
	assert changed(plan) == {
		"sites/common_site_config.json",
		"config/memora/nginx.conf",
		f"config/memora/prometheus.{SITE}.yml",
	}
	assert plan.queue is None and "memora.conf" not in str(production_steps.steps(plan))


def test_a_queue_that_bench_does_not_run_is_left_alone(bench):
	(bench / "config" / "supervisor.conf").write_text("[program:frappe-bench-frappe-srs_write-worker]\n")
	plan = plan_of(bench)
	assert "config/memora/redis_queue.conf" not in changed(
		plan
	) and "config/memora/redis_srs.conf" in changed(plan)
	assert "setup supervisor" not in str(production_steps.steps(plan))


# What is refused


@pytest.mark.parametrize(
	("spoil", "options", "why"),
	[
		(lambda bench: shutil.rmtree(bench / "logs"), {}, "no folder logs"),
		(lambda bench: (bench / "config/redis_queue.conf").unlink(), {}, "bench setup redis"),
		(lambda bench: (bench / "sites/common_site_config.json").write_text("{,}"), {}, "no JSON"),
		(
			lambda bench: (bench / "sites/common_site_config.json").write_text("[]"),
			{},
			"must be JSON objects",
		),
		(lambda bench: os.environ.update(PATH="/nowhere"), {}, "bench is not on the PATH"),
		(lambda bench: None, {"memory": "2 GiB"}, "2 GiB"),
	],
)
def test_what_can_not_be_set_up_is_refused_by_name(bench, spoil, options, why, monkeypatch):
	monkeypatch.setenv("PATH", os.environ["PATH"])
	conf = read_common(bench)
	spoil(bench)
	before = files(bench)
	with pytest.raises(SetupRefused, match=why):
		production.make_plan(bench, SITE, conf, Options(**options))
	assert files(bench) == before


def test_a_password_that_its_redis_would_lack_is_refused(bench):
	with pytest.raises(SetupRefused, match="password"):
		plan_of(bench, {"srs_redis_cache": "redis://:secret@localhost:13999"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_bench_is_refused(bench):
	nobody = pwd.getpwnam("nobody")
	os.chown(bench, nobody.pw_uid, nobody.pw_gid)
	with pytest.raises(SetupRefused, match="belongs to nobody"):
		plan_of(bench)


@pytest.mark.parametrize("name", ["redis_cache", "redis_queue", "srs_redis_cache"])
def test_an_address_that_is_none_is_refused_without_its_password(bench, name):
	with pytest.raises(SetupRefused, match=f"{name} must be redis://") as refused:
		plan_of(bench, {name: "redis://:sesame@127.0.0.1:port"})
	assert "sesame" not in str(refused.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_not_be_written_is_refused(bench):
	(bench / "config").chmod(0o500)
	with pytest.raises(SetupRefused, match="belongs to another user"):
		plan_of(bench)


# The site's name


@pytest.mark.parametrize(
	("conf", "target"),
	[
		({}, ("http", SITE)),
		({"host_name": "https://learn.example"}, ("https", "learn.example")),
		({"domains": ["learn.example"], "dns_multitenant": 1, "nginx_port": 81}, ("http", "learn.example")),
		({"domains": [{"domain": "a.example", "ssl_certificate": "/c"}]}, ("https", "a.example")),
		({"ssl_certificate": "/c"}, ("https", SITE)),
		({"nginx_port": 8080}, ("http", f"{SITE}:8080")),
	],
)
def test_prometheus_asks_for_the_site_by_its_name(bench, conf, target):
	(file,) = [file for file in plan_of(bench, conf).files if file.path.suffix == ".yml"]
	assert f"scheme: {target[0]}\n" in file.after and f'targets: ["{target[1]}"]' in file.after


# The command


@pytest.fixture
def command(bench, site, monkeypatch):
	"""Runs the command in the bench, whose site is this one."""
	sites = Path(frappe.local.sites_path).resolve()
	(bench / "sites" / site).symlink_to(sites / site)
	shutil.copy(sites / "apps.txt", bench / "sites")
	(bench / "apps").rmdir()
	(bench / "apps").symlink_to(sites.parent / "apps")
	here = {name: read_common(bench)[name] for name in ("redis_cache", "redis_queue")}
	there = json.loads((sites / "common_site_config.json").read_text())
	write_common(
		bench, {name: value for name, value in {**there, **here}.items() if not name.startswith("srs_")}
	)
	monkeypatch.chdir(bench / "sites")
	own = ("--site", site, "memora", "setup-production", "--port", str(ports.any_free()))
	return lambda *args, **options: bench_commands.run(*own, *args, **options)


def test_the_command_shows_asks_writes_and_says_what_to_run(bench, command):
	before = files(bench)
	shown = command("--dry-run")
	assert shown.exit_code == 0, shown.output + shown.stderr
	assert "+maxmemory-policy noeviction" in shown.stdout and "Would be written" in shown.stdout
	refused = command(input="n\n")
	assert refused.exit_code == 1 and "+maxmemory-policy" in refused.stderr
	assert {name: text for name, text in files(bench).items() if "logs" not in name} == before
	done = command("--yes")
	assert done.exit_code == 0, done.stderr
	assert f" ln -sfn {bench}/config/memora/supervisor.conf /etc/" in done.stdout
	assert "As root" in done.stdout
	assert ". supervisorctl restart frappe-bench-web: frappe-bench-workers:\n" in done.stdout
	again = json.loads(command("--json", "--yes").stdout)
	assert (again["changed"], again["warning"]) == ([], None)


def test_the_command_refuses_in_a_sentence(bench, command):
	(bench / "config" / "redis_queue.conf").unlink()
	refused = command("--yes")
	assert (
		refused.exit_code == 1
		and refused.stderr == "Error: config/redis_queue.conf is missing. Run: bench setup redis\n"
	)
