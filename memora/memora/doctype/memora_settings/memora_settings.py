import frappe
from frappe import _
from frappe.model.document import Document

from memora.exceptions import InvalidSettings
from memora.services.settings import forget_settings

RANGES = {
	"day_start_hour": (0, 23),
	"desired_retention": (0.7, 0.97),
	"new_per_day": (0, 1000),
	"cache_ttl_days": (1, 3650),
	"discrepancy_alert_percent": (0, 100),
	"safe_mode_user_seconds": (0, 3600),
	"safe_mode_requests_per_minute": (1, 100_000),
}


class MemoraSettings(Document):
	def validate(self) -> None:
		for field, (low, high) in RANGES.items():
			if not low <= self.get(field) <= high:
				frappe.throw(
					_("{0} must be from {1} to {2}, not {3}.").format(
						_(self.meta.get_label(field)), low, high, self.get(field)
					),
					InvalidSettings,
				)

	def on_update(self) -> None:
		forget_settings()
