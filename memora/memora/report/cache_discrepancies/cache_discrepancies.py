"""Report: the share of compared records that were wrong in Redis, for each run of Cache Reconciliation."""

from datetime import datetime, time, timedelta
from typing import Any

import frappe
from frappe import _

from memora.memora.report import layout
from memora.services import site_time
from memora.services.settings import get_settings

DAYS = 30
MAX_RUNS = 500
CHART_RECORDS = 10_000

FIELDS = ["started_at", "season", "learners", "sample_size", "discrepancies_found", "auto_corrected"]


@layout.refusing
def execute(filters: dict[str, Any] | None = None) -> layout.Report:
	period = layout.get_period(filters, DAYS)
	rows = _rows(period, (filters or {}).get("season"))
	labels = [layout.day_label(site_time.learning_day(row.started_at)) for row in reversed(rows)]
	# per 10,000 records: the desk rounds the numbers on an axis, and would round these hundredths of a percent to 0
	values = [round(CHART_RECORDS * row.discrepancy_rate, 2) for row in reversed(rows)]
	chart = {"type": "line", "data": {}}
	if rows:  # a chart even if all values are 0: a line along 0 is the good case
		datasets = [{"name": _("Discrepancies per 10,000 Records"), "values": values}]
		chart = {"type": "line", "data": {"labels": labels, "datasets": datasets}, "colors": [layout.RED]}
	return _columns(), rows, None, chart


def _rows(period: layout.Period, season: str | None) -> list[frappe._dict]:
	day_begins = time(get_settings().day_start_hour)
	begin = datetime.combine(period.first, day_begins)
	end = datetime.combine(period.last + timedelta(days=1), day_begins)
	of_season = [["season", "=", season]] if season else []
	rows = frappe.get_all(
		"Cache Reconciliation",
		# Frappe of 2023 adds a day to the end of "between"
		filters=[["started_at", ">=", begin], ["started_at", "<", end], *of_season],
		fields=[*FIELDS, "discrepancy_rate"],
		order_by="started_at desc",
		limit=MAX_RUNS,
	)
	for row in rows:
		row.percent = 100 * row.discrepancy_rate
	return rows


def _columns() -> list[dict[str, Any]]:
	return [
		layout.column("started_at", _("Started At"), "Datetime", 190),
		layout.column("season", _("Season"), "Link", 200, options="Game Subscription Season"),
		layout.column("learners", _("Learners")),
		layout.column("sample_size", _("Records Compared"), width=170),
		layout.column("discrepancies_found", _("Discrepancies")),
		layout.column("percent", _("Discrepancies (%)"), "Float", 150, precision=4),
		layout.column("auto_corrected", _("Corrected")),
	]
