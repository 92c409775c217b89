"""Archiving a season while a lock, the disk or a Redis fails."""

import frappe
import pytest
from frappe.utils import background_jobs

from memora.services.cache import loading
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import database, ddl, swap
from tests.integration.archiving import (
	ARCHIVE,
	TRACKER,
	all_rows,
	drifted_columns,
	make_ended_season,
	refusal,
	rows_by_table,
	stored,
)
from tests.integration.connections import raw_connection
from tests.integration.factories import make_records
from tests.integration.redis_proxy import RedisProxy
from tests.integration.submitting import read


@pytest.fixture
def impatience(monkeypatch) -> None:
	monkeypatch.setattr(ddl, "DEADLINE_SECONDS", 0)
	monkeypatch.setattr(database, "METADATA_LOCK_WAIT_SECONDS", 0)


@pytest.mark.parametrize("table", [TRACKER, ARCHIVE])
def test_a_lock_that_is_not_to_be_had_is_named_and_the_next_run_completes(archiver, impatience, table):
	ended = make_ended_season()
	before = all_rows(ended)
	with raw_connection() as holder, holder.cursor() as cursor:
		cursor.execute(f"SELECT COUNT(*) FROM `{table}`")
		error = refusal(archiver, ended)
		assert f"connection {holder.thread_id()}, " in error and "LOCK TABLES" in error
		holder.rollback()  # closing it would let the table go a little later
	assert stored(ended).archive_status == f"Stopped: {error}"
	assert all_rows(ended) == before
	assert archiver.archive_season(ended)["archived_count"] == 50
	assert rows_by_table(ended) == {ARCHIVE: before}


def test_a_full_disk_in_the_middle_of_copying(archiver, monkeypatch):
	"""The error comes from a trigger: on a disk that is full indeed, MariaDB may end as well."""
	monkeypatch.setattr(swap, "COPY_ROWS", 10)
	ended = make_ended_season()
	before = all_rows(ended)
	frappe.db.commit()
	frappe.db.sql_ddl(
		f"""CREATE TRIGGER stubborn BEFORE INSERT ON `{ARCHIVE}` FOR EACH ROW
		IF NEW.name = '{before[24][0]}' THEN
			SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full';
		END IF"""
	)
	with drifted_columns():
		try:
			assert "Disk full" in refusal(archiver, ended)
		finally:
			frappe.db.sql_ddl("DROP TRIGGER stubborn")
		assert [len(rows) for rows in rows_by_table(ended).values()] == [20, 30]
		assert all_rows(ended) == before
		assert archiver.archive_season(ended)["archived_count"] == 50
	assert rows_by_table(ended) == {ARCHIVE: before}


def test_without_redis_it_is_archived_and_says_what_stays(archiver, proxy, player):
	ended = make_ended_season(0)
	make_records(player, 2, season=ended)
	loading.rehydrate(SRSRedisManager().schedules, player, ended)
	proxy.stop()
	assert archiver.archive_season(ended)["success"]
	assert stored(ended).archive_status.startswith("Archived. Redis did not answer")
	assert read(player)["is_degraded"]


def test_without_the_redis_of_the_desk_it_is_archived_all_the_same(archiver, queue_url):
	queue = RedisProxy(frappe.conf.redis_queue)
	queue_url(queue.url)
	background_jobs.get_redis_connection_without_auth().ping()  # as a worker has; without, each try takes 4 s
	queue.stop()
	assert archiver.archive_season(make_ended_season())["success"]
