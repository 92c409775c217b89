"""Memora Settings as one frozen value, and the state of MariaDB. A process reads both, in one query, at most every few seconds."""

import time
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import frappe

CACHE_SECONDS = 5  # how long other processes may go on with the old settings after a change
# The clock without a conversion by a time zone, which is an hour off when clocks are set back
STATE_SQL = "UNIX_TIMESTAMP() + MICROSECOND(NOW(6)) / 1000000, @@GLOBAL.read_only, @@GLOBAL.tx_isolation"
SETTINGS_SQL = f"""
	SELECT field, value, {STATE_SQL} FROM tabSingles
	WHERE doctype = 'Memora Settings' OR (doctype = 'System Settings' AND field = 'time_zone')"""
NO_SETTINGS_SQL = f"SELECT '', NULL, {STATE_SQL}"


@dataclass(frozen=True)
class Settings:
	"""The fields of Memora Settings, and the site's time zone. A field that is not set has its default."""

	day_start_hour: int = 4
	desired_retention: float = 0.9
	new_per_day: int = 20
	answers_per_day: int = 2000
	practice_per_day: int = 20
	grace_days: int = 14
	retention_days: int = 3 * 365
	cache_ttl_days: int = 30
	discrepancy_alert_percent: float = 0.1
	safe_mode_user_seconds: int = 30
	safe_mode_requests_per_minute: int = 500
	read_p99_warning_ms: int = 100
	read_p99_critical_ms: int = 200
	submit_p99_warning_ms: int = 500
	submit_p99_critical_ms: int = 1000
	queue_warning_jobs: int = 1000
	queue_critical_jobs: int = 5000
	outbox_warning_seconds: int = 120
	outbox_critical_seconds: int = 600
	redis_memory_warning_percent: int = 80
	redis_memory_critical_percent: int = 95
	media_hosts: str = ""
	learner_role: str = ""  # empty: any signed-in user learns
	time_zone: str = "Asia/Kolkata"  # Frappe's own default

	@cached_property
	def allowed_media_hosts(self) -> frozenset[str]:
		"""The hosts, beside this site, from which questions may show pictures and play sounds."""
		return frozenset(self.media_hosts.split())


class Server(NamedTuple):
	"""The state of MariaDB.

	Its clock is ahead of this host's by `clock_lead` seconds. `within` is how long the question took: so much the lead may be
	off. `isolation` is the level that its sessions begin with.
	"""

	clock_lead: float
	within: float
	is_read_only: bool
	isolation: str


_cached: dict[str, tuple[float, Settings]] = {}
_servers: dict[str, Server] = {}


def get_settings() -> Settings:
	"""Returns the settings of this site, at most CACHE_SECONDS old."""
	until, settings = _cached.get(frappe.local.site, (0.0, None))
	if settings is None or time.monotonic() > until:
		settings = _load()
		_cached[frappe.local.site] = (time.monotonic() + CACHE_SECONDS, settings)
	return settings


def get_server() -> Server:
	"""Returns what was read with the settings last. Asks MariaDB only if this process never has."""
	if frappe.local.site not in _servers:
		get_settings()
	return _servers[frappe.local.site]


def forget_settings() -> None:
	"""Makes this process read the settings anew at their next use. Called when the settings are saved."""
	_cached.pop(frappe.local.site, None)


def _load() -> Settings:
	began = time.time()
	rows = frappe.db.sql(SETTINGS_SQL) or frappe.db.sql(NO_SETTINGS_SQL)
	ended = time.time()
	clock, read_only, isolation = rows[0][2:]
	_servers[frappe.local.site] = Server(
		clock_lead=float(clock) - (began + ended) / 2,
		within=ended - began,
		is_read_only=str(read_only) not in ("0", "OFF"),
		isolation=isolation,
	)
	stored, defaults = {row[0]: row[1] for row in rows}, vars(Settings())
	return Settings(
		**{name: type(default)(stored[name]) for name, default in defaults.items() if stored.get(name)}
	)
