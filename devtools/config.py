"""Writes sites/common_site_config.json, apps.txt and the settings of each site, with the present ports."""

import json
from pathlib import Path
from typing import Any

from devtools import drivers, ports, redis
from devtools.paths import MAIN_SITE, PICTURE_SITE, TEST_SITE, Bench

SRS_TEST_DATABASE = 1  # database 0 holds the learners of the main site
QUEUE_TEST_DATABASE = 1  # a running worker takes jobs from database 0, and must not take the tests' jobs
PICTURE_DATABASE = 2  # in both servers, for the site of `./dev screenshots`
SRS_WRITE_TIMEOUT_SECONDS = 300


def write(bench: Bench) -> None:
	"""Writes all files. Called whenever services start, because ports may have changed. Calling it twice does no harm."""
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
		**drivers.setting(bench),
		"webserver_port": known["web"],
		"workers": {"srs_write": {"timeout": SRS_WRITE_TIMEOUT_SECONDS}},
	}


def _test_site(bench: Bench) -> dict[str, Any]:
	return {"allow_tests": True, "srs_redis_cache": redis.url(bench, "srs", SRS_TEST_DATABASE)}


def _picture_site(bench: Bench) -> dict[str, Any]:
	return {"srs_redis_cache": redis.url(bench, "srs", PICTURE_DATABASE)}


def _update(path: Path, values: dict[str, Any]) -> None:
	"""Sets our keys and keeps all other keys, since a person may have added some."""
	now = json.loads(path.read_text()) if path.is_file() else {}
	_write(path, json.dumps({**now, **values}, indent=1, sort_keys=True) + "\n")


def _write(path: Path, text: str) -> None:
	if path.is_file() and path.read_text() == text:
		return
	part = path.with_name(path.name + ".part")
	part.write_text(text)
	part.replace(path)
