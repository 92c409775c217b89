"""Looks for a text in all that a site stores: tables, all three Redis, files, logs."""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import frappe
import redis

COLUMNS_SQL = """
	SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS
	WHERE TABLE_SCHEMA = DATABASE() AND DATA_TYPE REGEXP 'char|text|json|blob|binary' ORDER BY TABLE_NAME"""
URLS = ("srs_redis_cache", "redis_cache", "redis_queue")
READERS = {
	"string": lambda client, key: [client.get(key)],
	"hash": lambda client, key: [part for pair in client.hgetall(key).items() for part in pair],
	"list": lambda client, key: client.lrange(key, 0, -1),
	"set": lambda client, key: client.smembers(key),
	"zset": lambda client, key: client.zrange(key, 0, -1),
	"stream": lambda client, key: [repr(client.xrange(key)).encode()],
}


def find(*texts: str) -> list[str]:
	"""Returns each place that holds one of the texts: table.column, Redis and key, file."""
	frappe.db.rollback()
	return [place for text in texts for place in (*in_tables(text), *in_redis(text), *in_files(text))]


def in_tables(text: str) -> list[str]:
	found = []
	for table, column in frappe.db.sql(COLUMNS_SQL):
		count = frappe.db.sql(f"SELECT COUNT(*) FROM `{table}` WHERE `{column}` LIKE %s", (f"%{text}%",))[0][
			0
		]
		if count:
			found.append(f"{table}.{column}")
	return found


def in_redis(text: str) -> list[str]:
	conf = frappe.get_site_config()
	return [f"{name}: {key}" for name in URLS for key in _keys_with(conf[name], text.encode())]


def _keys_with(url: str, text: bytes) -> Iterator[str]:
	client = redis.Redis.from_url(url)
	for key in client.scan_iter(count=1000):
		values = [key, *READERS[client.type(key).decode()](client, key)]
		if any(text in _unpacked(value or b"") for value in values):
			yield key.decode(errors="replace")


def _unpacked(value: bytes) -> bytes:
	"""RQ packs what it stores."""
	with suppress(zlib.error):
		return value + zlib.decompress(value)
	return value


def in_files(text: str) -> list[str]:
	site, bench = Path(frappe.get_site_path()), Path(frappe.utils.get_bench_path())
	files = [*site.rglob("*"), *(bench / "logs").glob("*")]
	return [str(path) for path in files if path.is_file() and _holds(path, text.encode())]


def _holds(path: Path, text: bytes) -> bool:
	if text in str(path).encode():
		return True
	if is_zipfile(path):
		with ZipFile(path) as archive:
			return any(text in archive.read(name) for name in archive.namelist())
	content = path.read_bytes()
	return text in (gzip.decompress(content) if re.search(r"\.gz$", path.name) else content)
