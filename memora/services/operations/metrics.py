"""Renders a site's metrics for Prometheus: request times, and the results of the health checks.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from collections.abc import Iterator
from typing import cast

import frappe
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from memora.services.operations import health, latency
from memora.services.operations.health import CheckResult
from memora.services.store import incident_rows

Kind = type[GaugeMetricFamily] | type[CounterMetricFamily]

# A gauge for each of these checks: {check: (metric, help)}. A check without a value gives no sample.
GAUGES = {
	"schedules_redis": ("memora_redis_up", "1 if the schedules' Redis can be used"),
	"queue_depth": ("memora_queue_jobs", "Jobs that wait in the queue of the answers"),
	"outbox": ("memora_outbox_oldest_seconds", "How long the oldest submission has waited to be folded"),
	"parked": ("memora_outbox_parked", "Submissions that could not be folded, and wait for somebody"),
	"discrepancy_rate": (
		"memora_discrepancy_ratio",
		"Share of records that were wrong in Redis at last look",
	),
}
REDIS_MEMORY = {
	"used_bytes": ("memora_redis_memory_bytes", "Memory that the schedules' Redis uses"),
	"limit_bytes": ("memora_redis_memory_limit_bytes", "Memory that the schedules' Redis may use"),
}
TOTALS = {
	"incidents": ("memora_safe_mode_activations", "Safe Mode Incidents"),
	"served": ("memora_safe_mode_served", "Readings admitted in Safe Mode"),
	"limited": ("memora_safe_mode_limited", "Readings put off in Safe Mode"),
}


def render_metrics(accept: str = "") -> tuple[bytes, str]:
	"""Returns (all metrics of this site, their content type), in the format that an Accept header asks for."""
	encode, content_type = choose_encoder(accept)
	registry = CollectorRegistry()
	registry.register(_Site())
	return encode(registry), content_type


class _Site:
	"""A collector for prometheus_client. Each collection reads the site's figures anew."""

	def collect(self) -> Iterator[Metric]:
		with latency.reading_once():
			times, checks = latency.collect(), health.get_health()["checks"]
		yield from times
		yield _statuses(checks)
		for name, (metric, help_text) in GAUGES.items():
			value = cast(float | None, checks[name]["value"])  # each of these checks has one figure
			yield _family(GaugeMetricFamily, metric, help_text, value)
		for name, (metric, help_text) in REDIS_MEMORY.items():
			figures = cast("dict[str, float] | None", checks["redis_memory"]["value"]) or {}
			yield _family(GaugeMetricFamily, metric, help_text, figures.get(name))
		is_on = checks["safe_mode"]["value"] is not None
		yield _family(GaugeMetricFamily, "memora_safe_mode_active", "1 while an incident is open", is_on)
		totals = incident_rows.get_totals()
		for name, (metric, help_text) in TOTALS.items():
			yield _family(CounterMetricFamily, metric, help_text, totals[name])


def _statuses(checks: dict[str, CheckResult]) -> Metric:
	text = "What a check has found: 0 ok, 1 warning, 2 critical"
	family = GaugeMetricFamily("memora_check_status", text, labels=("site", "check"))
	for name, check in checks.items():
		family.add_metric((frappe.local.site, name), health.RANK[check["status"]])
	return family


def _family(kind: Kind, name: str, help_text: str, value: float | None) -> Metric:
	family = kind(name, help_text, labels=("site",))
	if value is not None:
		family.add_metric((frappe.local.site,), float(value))
	return family
