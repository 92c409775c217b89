"""Naive site time to Unix epochs and back."""

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from memora.services import site_time

KOLKATA, BERLIN, NEW_YORK = (ZoneInfo(z) for z in ("Asia/Kolkata", "Europe/Berlin", "America/New_York"))


def epoch(text: str) -> float:
	return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
	("naive", "zone", "utc"),
	[
		("2025-05-02T04:00", KOLKATA, "2025-05-01T22:30"),
		("2025-01-15T04:00", BERLIN, "2025-01-15T03:00"),
		("2025-07-15T04:00", BERLIN, "2025-07-15T02:00"),
		("2025-07-15T04:00:00.250000", NEW_YORK, "2025-07-15T08:00:00.250000"),
	],
)
def test_an_epoch_is_that_of_the_sites_zone_and_not_of_the_hosts(naive, zone, utc):
	moment = datetime.fromisoformat(naive)
	assert site_time.to_epoch(moment, zone) == epoch(utc)
	assert site_time.to_naive(epoch(utc), zone) == moment


def test_of_a_repeated_hour_the_first_counts():
	assert site_time.to_epoch(datetime(2025, 10, 26, 2, 30), BERLIN) == epoch("2025-10-26T00:30")


@pytest.mark.parametrize("utc", ["2025-10-26T00:30", "2025-10-26T01:30"])
def test_both_moments_of_a_repeated_hour_read_the_same(utc):
	assert site_time.to_naive(epoch(utc), BERLIN) == datetime(2025, 10, 26, 2, 30)


def test_a_skipped_hour_counts_as_if_the_clock_had_not_moved():
	assert site_time.to_epoch(datetime(2025, 3, 30, 2, 30), BERLIN) == epoch("2025-03-30T01:30")


@pytest.mark.parametrize("zone", [KOLKATA, BERLIN, NEW_YORK])
def test_there_and_back_every_half_hour_of_a_year(zone):
	start = epoch("2025-01-01T00:00")
	moments = [start + 1800 * i for i in range(2 * 24 * 365)]
	stored = [site_time.to_naive(m, zone).replace(fold=0) for m in moments]  # a table keeps no fold
	returned = [site_time.to_epoch(naive, zone) for naive in stored]
	changed = [m for m, r in zip(moments, returned, strict=True) if m != r]
	assert all(site_time.to_naive(m, zone) == site_time.to_naive(m - 3600, zone) for m in changed)
	assert len(changed) == (0 if zone is KOLKATA else 2)


def test_aware_moments_become_naive_in_the_sites_zone():
	moment = datetime(2025, 5, 1, 22, 30, tzinfo=timezone.utc)
	assert site_time.to_naive(moment, KOLKATA) == datetime(2025, 5, 2, 4)
