"""Prometheus scrapes a running bench, and the files of docs/monitoring can be used as they are."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import frappe
import pytest
import requests
import yaml
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from devtools import ports
from devtools.paths import PROJECT, current_bench
from devtools.pids import PidFile
from memora.services.cache import reconciliation
from memora.services.operations import health, metrics
from memora.services.operations.metrics import GAUGES
from tests.integration.cleaning import srs_redis
from tests.integration.client import Client, message
from tests.integration.factories import bank_questions, make_learner, make_records
from tests.integration.waiting import wait_until

MONITORING = PROJECT / "docs" / "monitoring"
METRICS = "memora.api.srs.get_metrics"


@pytest.fixture
def monitor(web) -> Client:
	"""A client that is signed in as Prometheus is."""
	return Client(web.url, make_learner(["Memora Monitor"]).token)


def scrape(client: Client) -> dict[str, dict]:
	"""{metric: {(label values without the site's): value}}"""
	response = client.get(METRICS)
	assert response.status_code == 200, response.text
	assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
	found: dict[str, dict] = {}
	for family in text_string_to_metric_families(response.text):
		for sample in family.samples:
			labels = {**sample.labels}
			assert labels.pop("site") == frappe.local.site
			found.setdefault(sample.name, {})[tuple(sorted(labels.values()))] = sample.value
	return found


def test_figures_of_the_checks(monitor, player):
	make_records(player, 3)
	srs_redis().config_set("maxmemory", 10**9)
	try:
		found = scrape(monitor)
	finally:
		srs_redis().config_set("maxmemory", 0)
	assert found["memora_redis_up"] == {(): 1}
	assert found["memora_redis_memory_limit_bytes"] == {(): 10**9}
	assert 10**5 < found["memora_redis_memory_bytes"][()] < 10**9
	assert found["memora_queue_jobs"] == {(): 0}
	assert found["memora_safe_mode_active"] == {(): 0}
	assert found["memora_safe_mode_activations_total"] == {(): 0}
	assert "memora_discrepancy_ratio" not in found  # nobody has looked yet
	assert {labels[0] for labels in found["memora_check_status"]} == {*health.CHECKS}


def test_each_request_of_a_learner_is_counted_once(monitor, client):
	"""Whichever of the server's processes answered it; others are not counted."""

	def requests_counted() -> dict:
		return {**scrape(monitor).get("memora_request_seconds_count", {})}

	before = requests_counted()
	for _ in range(20):
		message(client.get("memora.api.reviews.get_review_session"))
	client.get("memora.api.reviews.get_review_session", limit=0)
	client.get("memora.api.reviews.get_persistence_status", job_id="nothing")
	client.get("memora.api.reviews.get_review_session.nothing")
	new = {key: n - before.get(key, 0) for key, n in requests_counted().items() if n != before.get(key, 0)}
	assert new == {("200", "get_review_session"): 20, ("400", "get_review_session"): 1}


def test_a_look_reads_the_files_of_request_times_once(monkeypatch):
	"""A file for each process: to read them is most of what a scrape costs."""
	reads, collect = [], MultiProcessCollector.collect
	monkeypatch.setattr(MultiProcessCollector, "collect", lambda self: [reads.append(1), *collect(self)][1:])
	metrics.render_metrics()
	assert len(reads) == 1
	health.get_health()
	assert len(reads) == 2


def test_openmetrics_for_who_asks_for_it(monitor):
	accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
	response = monitor.request("GET", f"/api/method/{METRICS}", headers=accept)
	assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
	assert response.text.endswith("# EOF\n")


@pytest.mark.parametrize("method", [METRICS, "memora.api.srs.get_health"])
def test_who_may_look(web, client, guest, method):
	for roles in (["Memora Manager"], ["Memora Monitor"]):
		assert Client(web.url, make_learner(roles).token).get(method).status_code == 200
	assert (client.get(method).status_code, guest.get(method).status_code) == (403, 403)


def test_a_monitor_may_do_nothing_else(monitor):
	assert monitor.get("memora.api.srs.get_cache_status").status_code == 403
	assert monitor.post("memora.api.srs.archive_season", season="SEASON-2026").status_code == 403
	assert monitor.request("GET", "/api/resource/Memora Settings/Memora Settings").status_code == 403


def test_without_redis_the_rest_is_told(no_redis):
	text, _ = metrics.render_metrics()
	lines = text.decode().splitlines()
	site = f'{{site="{frappe.local.site}"}}'
	assert f"memora_redis_up{site} 0.0" in lines
	assert f"memora_safe_mode_active{site} 1.0" in lines
	assert f"memora_safe_mode_activations_total{site} 1.0" in lines
	assert not any(line.startswith("memora_redis_memory_bytes{") for line in lines)


@pytest.mark.parametrize(
	("warning", "critical", "status"), [(50, 60, "ok"), (2, 60, "warning"), (2, 3, "critical")]
)
def test_the_memory_of_redis_is_a_check(warning, critical, status):
	limits = {"redis_memory_warning_percent": warning, "redis_memory_critical_percent": critical}
	frappe.get_single("Memora Settings").update(limits).save()
	srs_redis().config_set("maxmemory", srs_redis().info("memory")["used_memory"] * 10)
	try:
		check = health.get_health()["checks"]["redis_memory"]
	finally:
		srs_redis().config_set("maxmemory", 0)
	assert (check["status"], check["value"]["percent"]) == (status, pytest.approx(10, abs=5))


# Files of docs/monitoring


def promtool(*args: str | Path) -> None:
	done = subprocess.run(["promtool", *args], capture_output=True, text=True)
	assert done.returncode == 0, done.stdout + done.stderr


def test_alert_rules(tmp_path):
	rules = MONITORING / "alerts.yml"
	promtool("check", "rules", rules)
	cases = tmp_path / "cases.yml"
	text = (Path(__file__).parent / "alert_rules.yml").read_text()
	cases.write_text(text.replace("RULES", str(rules)))
	promtool("test", "rules", cases)


def test_each_alert_is_made_to_fire():
	groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
	alerts = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
	cases = (Path(__file__).parent / "alert_rules.yml").read_text()
	assert [name for name in alerts if f'"{name}"' not in cases] == []


def test_the_metrics_are_documented(monitor, client):
	message(client.get("memora.api.reviews.get_review_session"))
	text = (PROJECT / "docs" / "monitoring.md").read_text()
	named = {f"memora_{part.split('`')[0].split('{')[0]}" for part in text.split("`memora_")[1:]}
	families = {metric for metric, _ in GAUGES.values()} | {*scrape(monitor)}
	assert {
		name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in families
	} == named


# Prometheus itself


@pytest.fixture
def dev_start(tmp_path, monkeypatch) -> Iterator[str]:
	"""The address of a running ./dev start, whose processes count for this test alone."""
	bench = current_bench()
	if PidFile(bench.run / "web.json").pid():
		pytest.skip("./dev start is running, and serves a person's site")
	monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "counts"))
	args = [sys.executable, PROJECT / "dev", "start", "--site", frappe.local.site]
	process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
	try:
		line = next((line for line in process.stdout if "http://" in line), None)
		assert line, "./dev start has ended"
		yield line.split("(or ")[1].rstrip().rstrip(")")
	finally:
		process.terminate()
		process.wait(60)
		process.stdout.close()


class Prometheus:
	def __init__(self, tmp_path: Path, target: str, token: str) -> None:
		"""Returns docs/monitoring/prometheus.yml with another target, token and pace."""
		config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
		(job,) = config["scrape_configs"]
		credentials = tmp_path / "memora.credentials"
		credentials.write_text(token.removeprefix("token ") + "\n")
		job["authorization"]["credentials_file"] = str(credentials)
		job["scheme"] = "http"
		job["static_configs"][0]["targets"] = [target.removeprefix("http://")]
		job["scrape_interval"] = "500ms"
		config["global"] = {"evaluation_interval": "500ms"}
		file = tmp_path / "prometheus.yml"
		file.write_text(yaml.safe_dump(config))
		(tmp_path / "alerts.yml").write_text((MONITORING / "alerts.yml").read_text())
		promtool("check", "config", file)
		self.url = f"http://127.0.0.1:{ports.any_free()}"
		self.log = (tmp_path / "prometheus.log").open("w")
		listen = f"--web.listen-address={self.url.removeprefix('http://')}"
		args = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={tmp_path / 'tsdb'}", listen]
		self.process = subprocess.Popen(args, stdout=self.log, stderr=self.log)

	def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
		"""[(labels, value)]; nothing while the server is starting."""
		try:
			response = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10)
		except requests.ConnectionError:
			return []
		if response.status_code == 503:
			return []
		assert response.json()["status"] == "success", response.text
		return [(found["metric"], float(found["value"][1])) for found in response.json()["data"]["result"]]

	def stop(self) -> None:
		self.process.terminate()
		self.process.wait(30)
		self.log.close()


@pytest.fixture
def prometheus(dev_start, tmp_path) -> Iterator[Prometheus]:
	server = Prometheus(tmp_path, dev_start, make_learner(["Memora Monitor"]).token)
	yield server
	server.stop()


def test_prometheus_scrapes_a_running_bench(prometheus, dev_start, learner, player):
	client = Client(dev_start, learner.token)
	make_records(player, 20)
	reconciliation.reconcile()

	def learn(question_id: str) -> None:
		message(client.get("memora.api.reviews.get_review_session"))
		answer = {"question_id": question_id, "quality": 4}
		message(client.post("memora.api.reviews.submit_review_session", responses=[answer]))

	questions = bank_questions()
	learn(questions[0])
	counted = 'sum(memora_request_seconds_count{code="200"})'
	wait_until(lambda: dict_of(prometheus.query(counted)) == {"": 2.0}, "a first scrape")
	for question_id in questions[1:20]:
		learn(question_id)
	wait_until(lambda: dict_of(prometheus.query(counted)) == {"": 40.0}, "all requests")
	p99 = "memora:request_seconds:p99"
	wait_until(lambda: len(prometheus.query(f"{p99} > 0")) == 2, "the p99 of both")
	found = {labels["endpoint"]: value for labels, value in prometheus.query(p99)}
	assert {*found} == {"get_review_session", "submit_review_session"}
	assert all(0 < value <= 30 for value in found.values()), found
	assert prometheus.query('up{job="memora"} == 1')
	_check_dashboard(prometheus)


def dict_of(found: list[tuple[dict[str, str], float]]) -> dict[str, float]:
	return {labels.get("endpoint", ""): value for labels, value in found}


def _check_dashboard(prometheus: Prometheus) -> None:
	"""Each of its panels draws something."""
	dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
	expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
	assert len(expressions) > 15
	for expression in expressions:
		assert prometheus.query(expression.replace("$site", ".*")), expression
