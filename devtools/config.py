"""sites/common_site_config.json, apps.txt and the sites' own settings, written from what is true now."""

import json
from pathlib import Path
from typing import Any

from devtools import ports, redis
from devtools.paths import MAIN_SITE, PICTURE_SITE, TEST_SITE, Bench

SRS_TEST_DATABASE = 1  # the main site's learners are in database 0
QUEUE_TEST_DATABASE = 1  # so that a running worker does not take the tests' jobs
PICTURE_DATABASE = 2  # of each, for the site of `./dev screenshots`
SRS_WRITE_TIMEOUT_SECONDS = 300


def write(bench: Bench) -> None:
	"""Idempotent; called whenever services start, because their ports may have changed."""
	_update(bench.sites / "common_site_config.json", _common(bench))
	_write(bench.sites / "apps.txt", "frappe\nmemora\n")
	for site, values in ((TEST_SITE, _test_site(bench)), (PICTURE_SITE, _picture_site(bench))):
		if bench.site(site).is_dir():
			_update(bench.site(site) / "site_config.json", values)


def _common(bench: Bench) -> dict[str, Any]:
	known = ports.known(bench)
	return {
		"db_host": "127.0.0.1",
		"db_port": known["mariadb"],
		"default_site": MAIN_SITE,
		"developer_mode": 0,
		"redis_cache": redis.url(bench, "cache"),
		"redis_queue": redis.url(bench, "queue"),
		"redis_socketio": redis.url(bench, "queue"),
		"serve_default_site": True,
		"srs_redis_cache": redis.url(bench, "srs"),
		"webserver_port": known["web"],
		"workers": {"srs_write": {"timeout": SRS_WRITE_TIMEOUT_SECONDS}},
	}


def _test_site(bench: Bench) -> dict[str, Any]:
	return {"allow_tests": True, "srs_redis_cache": redis.url(bench, "srs", SRS_TEST_DATABASE)}


def _picture_site(bench: Bench) -> dict[str, Any]:
	return {"srs_redis_cache": redis.url(bench, "srs", PICTURE_DATABASE)}


def _update(path: Path, values: dict[str, Any]) -> None:
	"""Set our keys and keep the others: a person may have added some."""
	now = json.loads(path.read_text()) if path.is_file() else {}
	_write(path, json.dumps({**now, **values}, indent=1, sort_keys=True) + "\n")


def _write(path: Path, text: str) -> None:
	if path.is_file() and path.read_text() == text:
		return
	part = path.with_name(path.name + ".part")
	part.write_text(text)
	part.replace(path)
