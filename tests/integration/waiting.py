import time
from collections.abc import Callable
from datetime import timedelta

from memora.services import site_time

SECONDS_BETWEEN_LOOKS = 0.05


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
	"""Polls until the condition holds; fails when it has not come true in time."""
	deadline = time.monotonic() + seconds
	while not condition():
		assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
		time.sleep(SECONDS_BETWEEN_LOOKS)


def wait_for_a_day_that_lasts(seconds: float = 30) -> None:
	"""Waits if the date or the learning day changes within so many seconds: a test tells either before and after its acts."""
	now = site_time.naive_now()
	for hour in (0, 4):
		turn = now.replace(hour=hour, minute=0, second=0, microsecond=0)
		left = (turn - now) % timedelta(days=1)
		if left < timedelta(seconds=seconds):
			time.sleep(left.total_seconds() + SECONDS_BETWEEN_LOOKS)
