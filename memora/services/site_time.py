"""Naive site time, as tables hold it, and Unix epochs, as Redis scores hold it.

The only place that converts between the two: `.timestamp()` on a naive value would read it in
the zone of the host, not of the site.
"""

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from memora.services.settings import get_settings

# As replies hold it: what str() makes of a naive site time
TEXT_PATTERN = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?$"
Text = Annotated[str, Field(pattern=TEXT_PATTERN)]


def site_zone() -> ZoneInfo:
	"""The time zone of System Settings."""
	return ZoneInfo(get_settings().time_zone)


def now() -> datetime:
	"""The current moment, aware, in the site's zone."""
	return datetime.now(site_zone())


def naive_now() -> datetime:
	"""The current moment as tables hold it."""
	return to_naive(now())


def learning_day(site_datetime: datetime | None = None) -> date:
	"""The learning day that a naive site time falls in; by default the present one."""
	return ((site_datetime or naive_now()) - timedelta(hours=get_settings().day_start_hour)).date()


def to_epoch(site_datetime: datetime, zone: ZoneInfo | None = None) -> float:
	"""Unix seconds of a naive site time.

	Of the two moments that an autumn clock change makes of one reading, the first; a reading
	that a spring change skips counts as if the clock had not been moved yet.
	"""
	return site_datetime.replace(tzinfo=zone or site_zone()).timestamp()


@lru_cache(maxsize=100_000)
def text_to_epoch(site_datetime: str, zone: ZoneInfo) -> float:
	"""As to_epoch, of an ISO text. Most of what is due is due at the start of one of few learning days."""
	return to_epoch(datetime.fromisoformat(site_datetime), zone)


def to_naive(moment: datetime | float, zone: ZoneInfo | None = None) -> datetime:
	"""Naive site time of an aware datetime or of Unix seconds."""
	zone = zone or site_zone()
	if isinstance(moment, datetime):
		return moment.astimezone(zone).replace(tzinfo=None)
	return datetime.fromtimestamp(moment, zone).replace(tzinfo=None)
