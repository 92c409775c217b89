import time
from collections.abc import Callable

SECONDS_BETWEEN_LOOKS = 0.05


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
	"""Polls until the condition holds; fails when it has not come true in time."""
	deadline = time.monotonic() + seconds
	while not condition():
		assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
		time.sleep(SECONDS_BETWEEN_LOOKS)
