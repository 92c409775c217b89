"""Takes pictures of the app with a browser: small PNG files, each taken when the page has come to rest."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from devtools import packages
from devtools.report import Failure

PHONE = {"viewport": {"width": 390, "height": 700}, "device_scale_factor": 2, "has_touch": True}
DESK = {"viewport": {"width": 1280, "height": 860}, "device_scale_factor": 1.5}
ARGUMENTS = ["--no-sandbox", "--no-proxy-server", "--disable-dev-shm-usage", "--font-render-hinting=none"]
WAIT_MS = 40_000
SECONDS_TO_SETTLE, SECONDS_BETWEEN_LOOKS = 20, 0.3
SECONDS_UNCHANGED = 1.5  # a chart of the desk begins to move one second after it appears
COLOURS = 256
LARGEST_BYTES = 150_000


@contextmanager
def browser() -> Iterator[Browser]:
	path = packages.browser()
	if not path:
		raise Failure("Pictures need Chromium, which is not installed: run ./dev setup")
	expect.set_options(timeout=WAIT_MS)
	with sync_playwright() as playwright:
		chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
		yield chromium
		chromium.close()


@contextmanager
def window(chromium: Browser, url: str, user: str, password: str, **options: Any) -> Iterator[Page]:
	"""Opens a page where the user is signed in. The options go to Playwright's new_context."""
	context = chromium.new_context(base_url=url, reduced_motion="reduce", **options)
	context.set_default_timeout(WAIT_MS)
	page = context.new_page()
	page.route("**/socket.io/*", lambda route: route.abort())  # no socket.io server runs
	done = page.request.post("/api/method/login", form={"usr": user, "pwd": password})
	if not done.ok:
		raise Failure(f"{user} can't sign in: {done.text()[:200]}")
	yield page
	context.close()


def take(page: Page, path: Path) -> None:
	"""Writes a picture of the page when it has not changed for SECONDS_UNCHANGED. Raises Failure if it never rests."""
	give_up_at, settled_at, before = time.monotonic() + SECONDS_TO_SETTLE, 0.0, b""
	while (moment := time.monotonic()) < settled_at or not before:
		now = page.screenshot(animations="disabled", caret="hide")
		if now != before:
			settled_at, before = moment + SECONDS_UNCHANGED, now
		if moment > give_up_at:
			raise Failure(f"{page.url} does not come to rest")
		time.sleep(SECONDS_BETWEEN_LOOKS)
	_write(before, path)


def _write(png: bytes, path: Path) -> None:
	picture = Image.open(io.BytesIO(png)).convert("RGB")
	# MAXCOVERAGE keeps rare colours, such as that of a small green dot
	small = picture.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
	small.save(path, optimize=True)
	if path.stat().st_size > LARGEST_BYTES:
		raise Failure(f"{path} has {path.stat().st_size:,} bytes; a picture may have {LARGEST_BYTES:,}")
