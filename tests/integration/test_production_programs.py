"""What setup-production writes is read by the programs that it is for: Redis, supervisor, systemd, nginx, Prometheus and bench."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest
import redis
import yaml

from devtools import nginx, ports, shell
from devtools.daemons import Daemon, answers
from devtools.paths import PROJECT
from devtools.pids import PidFile
from memora.services.operations import production, production_steps
from memora.services.operations.production import Options, Plan
from memora.services.operations.production_steps import Step
from tests.integration import production_bench
from tests.integration.production_bench import SITE, files, read_common, run
from tests.integration.waiting import wait_until

LASTS = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}


def needs(program: str) -> pytest.MarkDecorator:
	return pytest.mark.skipif(not shutil.which(program), reason=f"there is no {program} here")


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Path:
	production_bench.put_on_path(tmp_path / "bin", monkeypatch)
	return production_bench.make(tmp_path)


@pytest.fixture
def set_up(bench, request) -> Callable[..., Plan]:
	"""Writes the files, with a free port for the schedules' Redis."""

	def write(**options) -> Plan:
		conf = read_common(bench)
		port = None if "srs_redis_cache" in conf else ports.any_free()
		plan = production.make_plan(bench, SITE, conf, Options(port=port, memory="64mb", **options))
		production.write(plan)
		return plan

	return write


@contextmanager
def served(configuration: Path, port: int, log: Path) -> Iterator[subprocess.Popen]:
	"""Runs a Redis with a file, and yields its process. It is ended as supervisor ends it."""
	daemon = Daemon(
		name="redis-server",
		args=[shell.find("redis-server"), configuration],
		log=log,
		pid_file=PidFile(log.with_suffix(".json")),
		ready=lambda: answers(port, b"PING\r\n", b"+PONG"),
	)
	process = daemon.start()
	try:
		yield process
	finally:
		daemon.stop(process)


def config_of(port: int, *names: str) -> dict[str, str]:
	client = redis.Redis(port=port, decode_responses=True)
	return {name: client.config_get(name)[name] for name in names}


def port_of(bench: Path, name: str) -> int:
	return urlsplit(read_common(bench)[name]).port


# Redis


def test_the_schedules_redis_runs_as_the_docs_ask(bench, set_up, tmp_path):
	plan, port = set_up(), port_of(bench, "srs_redis_cache")
	expected = {
		**LASTS,
		"maxmemory": str(64 * 2**20),
		"protected-mode": "yes",
		"save": "",
		"bind": "127.0.0.1 -::1",
	}
	file = bench / "config/memora/redis_srs.conf"
	with served(file, port, tmp_path / "log") as process:
		found = config_of(port, *expected, "dir")
		assert found == {**expected, "dir": str(bench / "config/memora/redis_srs")}
		assert set_up().changed == []  # its port is taken by itself
		redis.Redis(port=port).set("a", 1)
		wait_until(lambda: redis.Redis(port=port).info("persistence")["aof_pending_bio_fsync"] == 0, "fsync")
		process.kill()
		process.wait()
	with served(file, port, tmp_path / "log"):
		assert redis.Redis(port=port).get("a") == b"1"
	assert plan.bench.ours.joinpath("redis_srs").stat().st_mode & 0o777 == 0o700


def test_jobs_that_wait_outlive_the_change_and_a_kill(bench, set_up, tmp_path):
	"""The Redis of bench goes on with its jobs; then one with our file ends without a word."""
	port, log = port_of(bench, "redis_queue"), tmp_path / "log"
	with served(bench / "config/redis_queue.conf", port, log):
		client = redis.Redis(port=port)
		client.rpush("rq:queue:long", *range(10_000))
		assert production_steps.keep_jobs(set_up()) is None
	ours = bench / "config/memora/redis_queue.conf"
	with served(ours, port, log) as process:
		assert config_of(port, *LASTS, "dir") == {**LASTS, "dir": str(bench / "config/pids")}
		assert client.llen("rq:queue:long") == 10_000
		client.rpush("rq:queue:long", "one more")
		process.kill()  # the kernel has what Redis wrote before it answered
		process.wait()
	with served(ours, port, log):
		assert client.llen("rq:queue:long") == 10_001


def test_a_queue_that_takes_no_settings_is_warned_of(bench, set_up, tmp_path):
	plan, port = set_up(), port_of(bench, "redis_queue")
	assert production_steps.keep_jobs(plan) is None  # it has never run
	(bench / "config/redis_queue.acl").write_text("user default on nopass ~* &* +@all -config\n")
	with served(bench / "config/redis_queue.conf", port, tmp_path / "log"):
		assert "CONFIG SET appendonly yes" in production_steps.keep_jobs(plan)
	(bench / "config/pids/redis_queue.rdb").touch()
	assert "CONFIG SET appendonly yes" in production_steps.keep_jobs(plan)


# supervisor, systemd

# What of bench's configuration is about the queue's Redis
BENCHS = """\
[program:frappe-bench-redis-queue]
command={redis} {bench}/config/redis_queue.conf
priority=1
autostart=true
autorestart=true
stdout_logfile={bench}/logs/redis-queue.log
stderr_logfile={bench}/logs/redis-queue.error.log
user={user}
directory={bench}/sites
startretries=10

[group:frappe-bench-redis]
programs=frappe-bench-redis-queue
"""
SUPERVISORD = """\
[unix_http_server]
file={here}/sock
[supervisord]
logfile={here}/supervisord.log
pidfile={here}/supervisord.pid
nodaemon=true
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{here}/sock
[include]
files = {here}/conf.d/*.conf
"""


@pytest.fixture
def supervisor(bench, set_up, tmp_path) -> Iterator[Path]:
	"""Runs supervisord on the files, as the steps link them."""
	plan = set_up()
	(bench / "config/supervisor.conf").write_text(
		BENCHS.format(bench=bench, redis=shell.find("redis-server"), user=plan.bench.user)
	)
	# short, since a socket's path has at most 108 letters
	with TemporaryDirectory() as folder:
		here = Path(folder)
		(here / "conf.d").mkdir()
		link(production_steps.steps(plan), "/etc/supervisor/conf.d", here / "conf.d")
		(here / "supervisord.conf").write_text(SUPERVISORD.format(here=here))
		daemon = Daemon(
			name="supervisord",
			args=[shell.find("supervisord"), "-c", here / "supervisord.conf"],
			log=here / "out",
			pid_file=PidFile(here / "pid.json"),
			ready=lambda: (here / "sock").exists(),
		)
		process = daemon.start()
		yield here / "supervisord.conf"
		daemon.stop(process)


def link(steps: list[Step], etc: str, folder: Path) -> None:
	"""Runs the steps that link files into a folder of the system, in another folder."""
	commands = [step.run for step in steps if step.run.startswith("ln -sfn") and etc in step.run]
	assert commands
	for command in commands:
		run(*command.replace(etc, str(folder)).split())


@needs("supervisord")
def test_supervisor_runs_both_redis_with_our_files(bench, supervisor):
	ours = {
		"redis_srs.conf": port_of(bench, "srs_redis_cache"),
		"redis_queue.conf": port_of(bench, "redis_queue"),
	}
	for name, port in ours.items():
		wait_until(lambda port=port: answers(port, b"PING\r\n", b"+PONG"), name)
		assert redis.Redis(port=port).info("server")["config_file"] == str(bench / "config/memora" / name)
		assert config_of(port, *LASTS) == LASTS
	assert sorted(p.name for p in (bench / "logs").glob("redis-*")) == [
		f"redis-{name}{ending}.log" for name in ("queue", "srs") for ending in (".error", "")
	]
	control = [shell.find("supervisorctl"), "-c", supervisor]
	assert "No config updates" in run(*control, "reread")


@needs("systemd-analyze")
def test_systemd_takes_the_units(bench, set_up):
	plan = set_up(systemd=True)
	folder = bench / "config/memora/systemd"
	bare = "[Service]\nExecStart=/bin/true\n"  # bench's, which ours adds to
	(folder / "frappe-bench-redis-queue.service").write_text(bare)
	units = [*folder.glob("*.service")]
	assert len(units) == 3
	run("systemd-analyze", "verify", "--man=no", *(str(unit).replace("@", "@1") for unit in units))
	steps = str(production_steps.steps(plan))
	assert (
		f"ln -sfn {folder}/frappe-bench-redis-srs.service /etc/systemd/system/frappe-bench-redis-srs.service"
		in steps
	)
	assert "supervisor" not in steps


# nginx, Prometheus


@needs("nginx")
def test_nginx_takes_the_limits(bench, set_up, tmp_path):
	set_up()
	limits = bench / "config/memora/nginx.conf"
	assert limits.read_text() == nginx.LIMITS.read_text()
	check_nginx(tmp_path, limits)


def check_nginx(folder: Path, *included: Path) -> None:
	"""Has nginx read files as it reads those of conf.d."""
	lines = [f"include {path};" for path in included]
	(folder / "nginx.conf").write_text("\n".join(["events {}", "http {", *lines, "}"]))
	run("nginx", "-t", "-e", folder / "log", "-g", f"pid {folder}/pid;", "-c", folder / "nginx.conf")


@needs("promtool")
def test_prometheus_takes_the_job(bench, set_up, tmp_path):
	set_up()
	monitoring = PROJECT / "docs/monitoring"
	file = Path(shutil.copy(bench / f"config/memora/prometheus.{SITE}.yml", tmp_path))
	shutil.copy(monitoring / "alerts.yml", tmp_path)
	run("promtool", "check", "config", "--syntax-only", file)
	example = (monitoring / "prometheus.yml").read_text().replace("https", "http").replace("<site>", SITE)
	assert yaml.safe_load(file.read_text()) == yaml.safe_load(example)


# bench itself


@needs("bench")
@needs("supervisorctl")
@needs("nginx")
def test_commands_of_bench_leave_our_files_alone(bench, set_up, tmp_path):
	(bench / "sites" / SITE).mkdir()
	(bench / "sites" / SITE / "site_config.json").write_text("{}")
	plan = set_up()
	before = {name: text for name, text in files(bench).items() if "memora" in name}
	(command,) = [step.run for step in production_steps.steps(plan) if "setup supervisor" in step.run]
	run("sh", "-c", command)
	for what in (["redis"], ["nginx", "--yes", "--logging", "none"], ["systemd", "--yes"]):
		run("bench", "setup", *what, cwd=bench)
	assert {name: text for name, text in files(bench).items() if "memora" in name} == before
	assert plan.bench.has_worker and plan.bench.runs_queue
	assert set_up().changed == []
	assert "include" not in (bench / "config/redis_queue.conf").read_text()
	assert SITE in (bench / "config/nginx.conf").read_text()
	check_nginx(tmp_path, bench / "config/nginx.conf", bench / "config/memora/nginx.conf")
