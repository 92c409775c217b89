"""Converts between naive site time, which tables hold, and Unix epochs, which are the scores in Redis.

Only this module converts: `.timestamp()` on a naive value would take the value for a time of the host's zone,
not of the site's. And it alone says what time it is: MariaDB's clock decides, so that hosts whose clocks differ agree.
"""

import time
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from memora.services.settings import get_server, get_settings

CLOCK_SECONDS = 2  # by which the clocks of two machines may differ

# A naive site time in a reply, as str() writes it
TEXT_PATTERN = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?$"
Text = Annotated[str, Field(pattern=TEXT_PATTERN)]


def site_zone() -> ZoneInfo:
	"""Returns the time zone in System Settings."""
	return ZoneInfo(get_settings().time_zone)


def clock_is_off() -> float:
	"""Returns by how many seconds this host's clock is ahead of MariaDB's, negative if it is behind. 0 if they agree.

	They agree within CLOCK_SECONDS, or within the time that MariaDB took to say it.
	"""
	server = get_server()
	return -server.clock_lead if abs(server.clock_lead) > max(CLOCK_SECONDS, server.within) else 0.0


def epoch_now() -> float:
	"""Returns the current moment as Unix seconds: by this host's clock, or by MariaDB's where this host's is off."""
	return time.time() - clock_is_off()


def now() -> datetime:
	"""Returns the current moment, aware, in the site's zone; see epoch_now."""
	zone = site_zone()  # reads MariaDB's clock, if that was some seconds ago
	return datetime.fromtimestamp(epoch_now(), zone)


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
