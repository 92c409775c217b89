"""The endpoints. Each has a short name, too: `memora.api.<name>` is `memora.api.<module>.<name>`, to Python and over HTTP."""

from importlib import import_module
from typing import Any

LEARNERS = {
	"get_review_session": "reviews",
	"get_reviews_safe_mode": "reviews",
	"submit_review_session": "reviews",
	"get_persistence_status": "reviews",
	"get_lesson_session": "sessions",
	"submit_lesson_session": "sessions",
}
MODULES = {
	**LEARNERS,
	"rebuild_season_cache": "srs",
	"cancel_rebuild": "srs",
	"get_cache_status": "srs",
	"trigger_reconciliation": "srs",
	"compute_due_forecast": "srs",
	"switch_season": "srs",
	"archive_season": "srs",
	"get_archive_status": "srs",
	"delete_eligible_records": "srs",
	"get_job_status": "srs",
	"retry_write_job": "srs",
	"get_health": "srs",
	"get_metrics": "srs",
	"get_safe_mode": "utils",
}


def __getattr__(name: str) -> Any:
	if name not in MODULES:
		raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
	return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)
