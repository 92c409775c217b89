"""Converts between naive site time, which tables hold, and Unix epochs, which are the scores in Redis.

Only this module converts: `.timestamp()` on a naive value would take the value for a time of the host's zone,
not of the site's.
"""

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from memora.services.settings import get_settings

# A naive site time in a reply, as str() writes it
TEXT_PATTERN = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?$"
Text = Annotated[str, Field(pattern=TEXT_PATTERN)]


def site_zone() -> ZoneInfo:
	"""Returns the time zone in System Settings."""
	return ZoneInfo(get_settings().time_zone)


def now() -> datetime:
	"""Returns the current moment, aware, in the site's zone."""
	return datetime.now(site_zone())


def naive_now() -> datetime:
	"""Returns the current moment in naive site time, as tables hold it."""
	return to_naive(now())


def learning_day(site_datetime: datetime | None = None) -> date:
	"""Returns the learning day of a naive site time, by default of the current moment."""
	return ((site_datetime or naive_now()) - timedelta(hours=get_settings().day_start_hour)).date()


def to_epoch(site_datetime: datetime, zone: ZoneInfo | None = None) -> float:
	"""Returns the Unix epoch, in seconds, of a naive site time.

	In autumn, when clocks are set back, a reading occurs twice: this returns the first moment. In spring,
	when clocks are set forward, some readings do not occur: they count as if the clock had not been moved
	yet.
	"""
	return site_datetime.replace(tzinfo=zone or site_zone()).timestamp()


@lru_cache(maxsize=100_000)
def text_to_epoch(site_datetime: str, zone: ZoneInfo) -> float:
	"""Returns the Unix epoch, in seconds, of a naive site time in ISO format.

	Cached, because most questions fall due at the start of one of few learning days.
	"""
	return to_epoch(datetime.fromisoformat(site_datetime), zone)


def to_naive(moment: datetime | float, zone: ZoneInfo | None = None) -> datetime:
	"""Returns the naive site time of an aware datetime or of a Unix epoch in seconds."""
	zone = zone or site_zone()
	if isinstance(moment, datetime):
		return moment.astimezone(zone).replace(tzinfo=None)
	return datetime.fromtimestamp(moment, zone).replace(tzinfo=None)
