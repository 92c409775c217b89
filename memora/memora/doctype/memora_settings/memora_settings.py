from urllib.parse import urlsplit

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import get_url

from memora.exceptions import InvalidSettings, quoting
from memora.services.learning.media_addresses import MAX_HOSTS, is_host, parse_hosts
from memora.services.operations import calendar_changes
from memora.services.settings import Settings, forget_settings

RANGES = {
	"day_start_hour": (0, 23),
	"desired_retention": (0.7, 0.97),
	"new_per_day": (0, 1000),
	"answers_per_day": (0, 1_000_000),
	"practice_per_day": (0, 1000),
	"grace_days": (0, 90),
	"retention_days": (30, 3650),  # not for ever
	"cache_ttl_days": (1, 3650),
	"discrepancy_alert_percent": (0, 100),
	"safe_mode_user_seconds": (0, 3600),
	"safe_mode_requests_per_minute": (1, 100_000),
	"read_p99_warning_ms": (1, 60_000),
	"read_p99_critical_ms": (1, 60_000),
	"submit_p99_warning_ms": (1, 60_000),
	"submit_p99_critical_ms": (1, 60_000),
	"queue_warning_jobs": (1, 1_000_000),
	"queue_critical_jobs": (1, 1_000_000),
	"outbox_warning_seconds": (1, 86_400),
	"outbox_critical_seconds": (1, 86_400),
	"redis_memory_warning_percent": (1, 100),
	"redis_memory_critical_percent": (1, 100),
}


class MemoraSettings(Document):
	def validate(self) -> None:
		for field, (low, high) in RANGES.items():
			if not low <= self.get(field) <= high:
				frappe.throw(
					quoting(
						_("{0} must be from {1} to {2}, not {3}."),
						_(self.meta.get_label(field)),
						low,
						high,
						self.get(field),
					),
					InvalidSettings,
				)
		for field in filter(lambda field: "_warning_" in field, RANGES):
			self._validate_order(field, field.replace("_warning_", "_critical_"))
		self._validate_media_hosts()

	def _validate_order(self, warning: str, critical: str) -> None:
		if self.get(critical) < self.get(warning):
			frappe.throw(
				quoting(
					_("{0} must be at least {1}, the value of {2}, not {3}."),
					_(self.meta.get_label(critical)),
					self.get(warning),
					_(self.meta.get_label(warning)),
					self.get(critical),
				),
				InvalidSettings,
			)

	def _validate_media_hosts(self) -> None:
		"""Refuses what is no host, and this site: any of its addresses could be called by way of a picture."""
		hosts = parse_hosts(self.get("media_hosts") or "")
		own = {name.partition(":")[0] for name in _names_of_this_site()}
		for host in hosts:
			if not is_host(host) or host.partition(":")[0] in own:
				frappe.throw(
					quoting(
						_("{0} must name other hosts, such as media.example.com, not {1}."),
						_(self.meta.get_label("media_hosts")),
						host,
					),
					InvalidSettings,
				)
		if len(hosts) > MAX_HOSTS:
			frappe.throw(_("At most {0} hosts, not {1}.").format(MAX_HOSTS, len(hosts)), InvalidSettings)
		self.set("media_hosts", "\n".join(hosts))

	def before_save(self) -> None:
		before = self.get_doc_before_save()
		old = before.get("day_start_hour") if before else None
		old_hour = Settings().day_start_hour if old in (None, "") else int(old)
		if old_hour != self.day_start_hour:
			calendar_changes.follow_hour(old_hour, self.day_start_hour)

	def on_update(self) -> None:
		forget_settings()


def _names_of_this_site() -> set[str]:
	"""Returns the names by which browsers may reach this site, as far as the site knows them."""
	request = getattr(frappe.local, "request", None)
	domains = [
		name if isinstance(name, str) else name.get("domain", "") for name in frappe.conf.domains or []
	]
	return {frappe.local.site, urlsplit(get_url()).netloc, *domains, *([request.host] if request else [])}
