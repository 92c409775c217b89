import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import frappe
import pytest

from devtools import sites
from devtools.paths import current_bench
from memora.exceptions import PartitionError, SeasonStateError
from memora.services.store import database, ddl, failures, partitions, tables
from memora.services.store.database import Connection
from tests.integration import cleaning, state
from tests.integration.client import Client
from tests.integration.connections import at_once, raw_connection
from tests.integration.factories import make_learner, make_records, make_season

DOCTYPES = ("Player Memory Tracker", "Player Review Log", "Archived Memory Tracker")
SEASON = "Game Subscription Season"
NAMES = [
	"2024-2025",
	"SEASON-2027",
	'it\'s "quoted"',
	"back`tick",
	"back\\slash",
	"100% %s %(name)s",
	"semi; DROP TABLE x; --",
	"موسم ٢٠٢٥",
	"сезон 🎓",
	"x" * 140,
]


@pytest.fixture(autouse=True)
def partitions_go():
	yield
	cleaning.drop_stray_partitions()


def layout() -> dict[str, str]:
	frappe.db.rollback()
	return {d: frappe.db.sql(f"SHOW CREATE TABLE `tab{d}`")[0][1] for d in DOCTYPES}


def seasons_of(doctype: str) -> list[str]:
	return [p["season"] for p in tables.list_partitions(doctype)]


@pytest.mark.parametrize("name", NAMES)
def test_a_partition_is_made_in_all_three_tables_and_listed_with_its_season(name):
	partitions.create_partition(name)
	assert all(name in seasons_of(doctype) for doctype in DOCTYPES)
	assert partitions.has_partitions(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_partition_takes_rows_of_its_season_and_goes_when_they_are_gone(name, player):
	before = layout()
	partitions.create_partition(name)
	make_records(player, season=name)
	assert [row.season for row in state.rows("Player Memory Tracker")] == [name]
	assert tables.season_has_rows("Player Memory Tracker", name)
	frappe.db.delete("Player Memory Tracker")
	frappe.db.commit()
	partitions.drop_partition(name)
	assert layout() == before


def test_creating_twice_changes_nothing():
	partitions.create_partition("twice")
	before = layout()
	partitions.create_partition("twice")
	assert layout() == before


def test_creating_completes_what_a_dead_process_left_half_done():
	partitions.create_partition("half")
	name = tables.partition_name("half")
	frappe.db.sql_ddl(f"ALTER TABLE `tabPlayer Review Log` DROP PARTITION {name}")
	assert not partitions.has_partitions("half")
	partitions.create_partition("half")
	assert partitions.has_partitions("half")


def test_creating_at_once_from_four_connections():
	at_once(*[lambda: partitions.create_partition("together")] * 4)
	assert all(seasons_of(doctype).count("together") == 1 for doctype in DOCTYPES)


def test_listing_gives_name_season_rows_and_bytes(player, season):
	make_records(player, 5)
	found = {p["season"]: p for p in tables.list_partitions("Player Memory Tracker")}
	assert found.keys() == {"", season}
	assert found[season]["name"] == tables.partition_name(season)
	assert set(found[season]) == {"name", "season", "rows", "bytes"}
	assert all(isinstance(p["rows"], int) and p["bytes"] > 0 for p in found.values())


@pytest.mark.parametrize("doctype", ["User", "Review Outbox", "x`; DROP TABLE tabUser; --"])
def test_listing_another_table_is_refused(doctype):
	with pytest.raises(PartitionError, match="not partitioned"):
		tables.list_partitions(doctype)


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_a_partition_with_rows_is_not_dropped(doctype):
	partitions.create_partition("full")
	frappe.db.sql(f"INSERT INTO `tab{doctype}` (name, season) VALUES ('row', 'full')")
	frappe.db.commit()
	before = layout()
	with pytest.raises(SeasonStateError, match="full"):
		partitions.drop_partition("full")
	assert layout() == before
	assert len(state.rows(doctype)) == 1


def test_dropping_what_is_not_there_changes_nothing():
	before = layout()
	partitions.drop_partition("never made")
	assert layout() == before


@pytest.mark.parametrize(("one", "other"), [("seas-a", "SEAS-A"), ("seas-a", "seas-a "), ("cafe", "café")])
def test_a_name_that_mariadb_takes_for_another_leaves_the_other_alone(one, other):
	partitions.create_partition(one)
	before = layout()
	with pytest.raises(PartitionError, match="Names must differ"):
		partitions.create_partition(other)
	partitions.drop_partition(other)
	assert layout() == before


def test_dropping_the_partitions_of_a_season_is_noted_on_it_and_on_no_other():
	made = make_season(season_name="seas-a")
	partitions.drop_partition("SEAS-A")
	made.reload()
	assert made.partition_created
	partitions.drop_partition("seas-a")
	made.reload()
	assert not made.partition_created


def test_the_active_season_keeps_its_partitions(season):
	before = layout()
	with pytest.raises(SeasonStateError, match="active"):
		partitions.drop_partition(season)
	assert layout() == before
	assert frappe.db.get_value(SEASON, season, "partition_created")


def test_a_season_whose_partitions_stay_because_of_rows_has_them(player):
	made = make_season(season_name="full")
	make_records(player, season="full")
	with pytest.raises(SeasonStateError, match="rows"):
		partitions.drop_partition("full")
	made.reload()
	assert made.partition_created


def test_rows_of_a_season_without_partition_are_refused(player):
	with pytest.raises(failures.ERRORS) as caught:
		make_records(player, season="nowhere")
	assert failures.number_of(caught.value) == 1526
	assert state.rows("Player Memory Tracker") == []


@pytest.fixture
def impatience(monkeypatch) -> None:
	monkeypatch.setattr(ddl, "DEADLINE_SECONDS", 0)
	monkeypatch.setattr(database, "METADATA_LOCK_WAIT_SECONDS", 0)


def test_a_locked_table_leads_to_a_partition_error(impatience):
	before = layout()
	frappe.db.rollback()
	with reader_of("Player Review Log"), pytest.raises(PartitionError) as caught:
		partitions.create_partition("locked")
	assert caught.value.http_status_code == 503
	assert layout()["Player Review Log"] == before["Player Review Log"]
	partitions.create_partition("locked")
	assert partitions.has_partitions("locked")


def test_the_error_names_who_holds_the_lock_among_those_who_are_longer_idle(impatience):
	with ExitStack() as idle:
		for _ in range(4):
			idle.enter_context(raw_connection())
		with reader_of("Player Memory Tracker") as holder, pytest.raises(PartitionError) as caught:
			number = holder.thread_id()
			partitions.create_partition("locked")
	assert f"connection {number}, Sleep for" in str(caught.value)
	assert "ALTER TABLE `tabPlayer Memory Tracker`" in str(caught.value)


def test_of_many_connections_the_error_names_those_that_rest_the_longest(impatience):
	season = "x" * 60
	with reader_of("Player Memory Tracker") as holder, ExitStack() as younger:
		for _ in range(11):
			younger.enter_context(raw_connection())
		with pytest.raises(PartitionError) as caught:
			partitions.create_partition(season)
		numbers = re.findall(r"connection (\d+), ", str(caught.value))
		assert str(holder.thread_id()) in numbers
		assert len(numbers) == 10
	assert "PROCESSLIST" not in str(caught.value)  # the one that asks
	assert " s: between statements; " in str(caught.value)
	statement = (
		f"ALTER TABLE `tabPlayer Memory Tracker` ADD PARTITION (PARTITION {tables.partition_name(season)}"
	)
	assert f": {statement[:80]}. Open" in str(caught.value)


@pytest.fixture
def unlucky(impatience) -> str:
	"""A season that was inserted while somebody held a lock on the journal."""
	with reader_of("Player Review Log"):
		return make_season(season_name="unlucky").name


def has_partitions_and_says_so(season: str) -> bool:
	frappe.db.rollback()
	says = bool(frappe.db.get_value(SEASON, season, "partition_created"))
	assert says == partitions.has_partitions(season)
	return says


def test_a_season_whose_partitions_could_not_be_made_says_so_and_can_not_be_active(unlucky, season):
	assert not has_partitions_and_says_so(unlucky)
	assert [row.method for row in state.rows("Error Log")] == ["Season without partitions"]
	frappe.db.set_value(SEASON, season, "is_active", 0)
	document = frappe.get_doc(SEASON, unlucky)
	document.is_active = 1
	with pytest.raises(SeasonStateError, match="no partitions"):
		document.save()
	frappe.db.rollback()
	assert not frappe.db.get_value(SEASON, unlucky, "is_active")


@pytest.mark.parametrize(("role", "status"), [("Memora Manager", 200), ("Desk User", 403)])
def test_the_button_heals_it_for_managers(web, unlucky, role, status):
	client = Client(web.url, make_learner(roles=[role]).token)
	button = {"method": "create_partitions", "dt": SEASON, "dn": unlucky}
	reply = client.request("POST", "/api/method/run_doc_method", json=button)
	assert reply.status_code == status
	assert has_partitions_and_says_so(unlucky) == (status == 200)


def test_the_button_while_the_lock_is_still_held(unlucky):
	with reader_of("Player Review Log"), pytest.raises(PartitionError):
		frappe.get_doc(SEASON, unlucky).create_partitions()
	assert not has_partitions_and_says_so(unlucky)


def test_the_command_heals_it(unlucky):
	frappe.db.commit()
	bench = current_bench()
	args = sites.bench_command(bench, "--site", frappe.local.site, "memora", "partitions", "--heal", "--json")
	done = subprocess.run(args, cwd=bench.sites, capture_output=True, text=True)
	assert json.loads(done.stdout)["healed"] == [unlucky], done.stderr
	assert has_partitions_and_says_so(unlucky)


def test_the_scheduler_heals_it(unlucky):
	frappe.db.commit()
	(job,) = frappe.get_all(
		"Scheduled Job Type", filters={"method": ("like", "%heal_partitions")}, pluck="name"
	)
	frappe.get_doc("Scheduled Job Type", job).execute()
	assert has_partitions_and_says_so(unlucky)
	assert partitions.heal_partitions() == []


def test_a_season_that_claims_partitions_it_lacks_is_healed_or_says_so(impatience, monkeypatch):
	claiming = make_season(season_name="claiming").name
	frappe.db.sql_ddl(f"ALTER TABLE `tabPlayer Review Log` DROP PARTITION {tables.partition_name(claiming)}")
	with reader_of("Player Review Log"), pytest.raises(PartitionError):
		partitions.heal_partitions()
	assert not has_partitions_and_says_so(claiming)
	frappe.db.set_value(SEASON, claiming, "partition_created", 1)
	frappe.db.commit()
	create, said = partitions.create_partition, []

	def creating(name: str) -> None:
		said.append(has_partitions_and_says_so(name))
		create(name)

	monkeypatch.setattr(partitions, "create_partition", creating)
	assert partitions.heal_partitions() == [claiming]
	assert said == [False]
	assert has_partitions_and_says_so(claiming)


def test_a_season_that_can_not_be_healed_is_named_and_the_others_are_healed():
	bad, good = (make_season().name for _ in range(2))
	for season in (bad, good):
		partitions.drop_partition(season)
	partitions.create_partition("seas-a")
	twin = "SEAS-A"  # for MariaDB the same name, so it can't have a partition of its own
	frappe.db.sql(f"UPDATE `tab{SEASON}` SET name = %s WHERE name = %s", (twin, bad))
	frappe.db.commit()
	with pytest.raises(PartitionError, match=twin):
		partitions.heal_partitions()
	assert has_partitions_and_says_so(good)


def test_what_a_client_sends_does_not_make_partitions(unlucky):
	document = frappe.get_doc(SEASON, unlucky)
	document.update({"partition_created": 1, "archived_at": frappe.utils.now(), "archived_records": 5}).save()
	frappe.db.commit()
	assert not has_partitions_and_says_so(unlucky)
	document.reload()
	assert (document.archived_at, document.archived_records) == (None, 0)


def test_an_active_season_whose_partitions_could_not_be_made_is_not_made_either(impatience, season):
	frappe.db.set_value(SEASON, season, "is_active", 0)
	with reader_of("Player Memory Tracker"), pytest.raises(PartitionError):
		make_season(season_name="unlucky", is_active=1)
	frappe.db.rollback()
	assert not frappe.db.exists(SEASON, "unlucky")


@contextmanager
def reader_of(doctype: str) -> Iterator[Connection]:
	"""A transaction elsewhere that has read a table and goes on: DDL waits for it."""
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute(f"SELECT COUNT(*) FROM `tab{doctype}`")
		yield connection
