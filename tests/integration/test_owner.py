"""The keys in Redis have an owner: who else comes leaves them alone, and a failover is noticed by nobody."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import frappe
import pytest
from redis.cluster import key_slot

from memora import install
from memora.services.cache import incidents, loading, outdated, ownership, server, settling
from memora.services.cache.breaker import Unavailable
from memora.services.cache.gateway import Gateway
from memora.services.cache.incidents import WITNESS_SECONDS
from memora.services.cache.ownership import LAPSE_SECONDS, NEVER, RENEW_SECONDS, Database
from memora.services.cache.schedules import Schedules
from memora.services.cache.settling import renew_claim
from memora.services.store import database
from tests.integration import bench_commands, state
from tests.integration.cleaning import srs_keys, srs_redis
from tests.integration.connections import raw_connection
from tests.integration.factories import bank_questions, make_records, site_now
from tests.integration.site_config import site_config
from tests.integration.submitting import answers, ids, read, submit

OWNER = "{srs:generation}:owner"
ELSEWHERE = "elsewhere:3306/2"


@pytest.fixture(autouse=True)
def owned(clean):
	new_process()
	yield
	srs_redis().delete(OWNER)
	new_process()


def new_process() -> None:
	server.server_of.cache_clear()


def owner() -> dict[str, str]:
	return srs_redis().hgetall(OWNER)


def own() -> dict[str, str]:
	identity = database.get_identity()
	return {"database": identity.name, "server": identity.server, "site": frappe.local.site}


def give_to(seconds_ago: float = 0, **values: str) -> dict[str, str]:
	"""Another has claimed the keys so many seconds ago."""
	srs_redis().hset(OWNER, mapping={**own(), "seen": int(time.time() - seconds_ago), **values})
	return owner()


def can_use() -> bool:
	try:
		Schedules().count_due("0" * 16, "season")
	except Unavailable:
		return False
	return True


@pytest.mark.each_redis
def test_who_comes_first_owns_the_keys():
	srs_redis().delete(OWNER)
	assert can_use()
	found = owner()
	assert time.time() - int(found.pop("seen")) < RENEW_SECONDS
	assert found == own()


def test_the_owner_is_in_the_slot_of_the_count():
	keys = Gateway().keys
	assert key_slot(keys.owner.encode()) == key_slot(keys.generation.encode())


@pytest.mark.each_redis
def test_another_database_never_takes_the_keys():
	given = give_to(database="memora_other", seconds_ago=100 * LAPSE_SECONDS)
	assert not can_use()
	assert owner() == given


def test_a_copy_on_another_server_keeps_away_while_the_owner_lives():
	given = give_to(server=ELSEWHERE)
	assert not can_use()
	assert owner() == given


@pytest.mark.parametrize("seconds_ago", [LAPSE_SECONDS + 2, -LAPSE_SECONDS - 2, -86400])
def test_what_nobody_has_claimed_for_minutes_is_taken_over_by_the_same_database(seconds_ago):
	"""Or what was claimed by a clock that was far ahead."""
	give_to(server=ELSEWHERE, seconds_ago=seconds_ago)
	assert can_use()
	assert owner()["server"] == own()["server"]


@pytest.mark.parametrize(
	"values", [{"server": ELSEWHERE}, {"database": "memora_other"}], ids=["moved", "other"]
)
@pytest.mark.parametrize("seconds_ago", [0, -9, LAPSE_SECONDS + 2, -LAPSE_SECONDS - 2])
def test_an_owner_is_in_the_way_as_long_as_a_read_would_not_take_the_keys(values, seconds_ago):
	given = give_to(**values, seconds_ago=seconds_ago)
	found = settling.find_owner_in_the_way()
	assert owner() == given
	assert (found is None) == can_use()


def test_after_a_failover_a_process_that_was_the_owner_goes_on():
	assert can_use()
	gateway = Gateway()
	gateway.server.owned_by = ELSEWHERE  # it has read that before the failover
	gateway.server._epoch = (0.0, "")
	give_to(server=ELSEWHERE)
	assert can_use()
	assert owner()["server"] == own()["server"]


def test_two_copies_do_not_take_the_keys_from_each_other_in_turn():
	"""This process was the owner; then a copy took over what had lapsed."""
	assert can_use()
	given = give_to(server=ELSEWHERE)
	Gateway().server._epoch = (0.0, "")
	assert not can_use()
	assert owner() == given


def test_an_answer_reaches_redis_though_mariadb_dies_after_its_commit(player, season):
	"""Otherwise each death of MariaDB would make every schedule stale."""
	assert can_use()
	gateway = Gateway()
	_read_at, *known = gateway.server._database
	gateway.server._database = (0.0, *known)  # long ago
	((connection_id,),) = frappe.db.sql("SELECT CONNECTION_ID()")
	frappe.db.commit()
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute(f"KILL {connection_id}")
	try:
		assert Schedules().reschedule(player, season, {"q-1": 4e9}, version=0)
	finally:
		frappe.db.close()
		frappe.db.connect()
	assert not state.rows("Safe Mode Incident")


def test_a_replica_takes_nothing_over():
	replica = Database("name", "server", "digest", is_read_only=True)
	*_others, lapse, until = ownership.claim(replica, "site", ELSEWHERE)
	assert (lapse, until) == (NEVER, "")
	primary = replica._replace(is_read_only=False)
	assert ownership.claim(primary, "site", ELSEWHERE)[-2:] == [LAPSE_SECONDS, ELSEWHERE]


def test_a_renamed_site_stays_the_owner():
	give_to(site="former.name")
	assert can_use()
	assert owner()["site"] == frappe.local.site


def test_a_claim_is_renewed_after_seconds_and_not_at_each_read():
	fresh = give_to(seconds_ago=RENEW_SECONDS - 3)
	assert can_use()
	assert owner() == fresh
	give_to(seconds_ago=RENEW_SECONDS + 1)
	new_process()
	assert can_use()
	assert time.time() - int(owner()["seen"]) < RENEW_SECONDS


def test_the_scheduler_renews_the_claim_of_a_site_that_nobody_uses():
	give_to(seconds_ago=LAPSE_SECONDS - 5)
	renew_claim()
	assert time.time() - int(owner()["seen"]) < RENEW_SECONDS


def test_a_season_without_redis_claims_nothing(season):
	srs_redis().delete(OWNER)
	frappe.db.set_value("Game Subscription Season", season, "enable_redis", 0)
	renew_claim()
	assert not owner()


def test_learners_of_another_site_learn_in_safe_mode(player):
	make_records(player, 3)
	given = give_to(database="memora_other", site="other.site", server=ELSEWHERE)
	before = state.everything()["srs"]
	session = read(player)
	assert (session["is_degraded"], ids(session)) == (True, bank_questions()[:3])
	assert submit(player, answers(1))["is_degraded"]
	assert (state.everything()["srs"], owner()) == (before, given)
	(incident,) = state.rows("Safe Mode Incident")
	assert incident.reason == "its keys belong to site other.site (database memora_other on elsewhere:3306/2)"


def test_the_site_is_served_from_redis_again_once_it_has_a_namespace(player):
	make_records(player, 3)
	give_to(database="memora_other")
	assert read(player)["is_degraded"]
	frappe.local.conf.srs_redis_namespace = "mine"
	assert not read(player)["is_degraded"]
	long_ago = site_now() - timedelta(seconds=WITNESS_SECONDS + 1)
	frappe.db.sql("UPDATE `tabSafe Mode Incident` SET modified = %s", (long_ago,))
	frappe.db.commit()
	outdated.settle_outages()  # nobody meets the outage any more
	(incident,) = state.rows("Safe Mode Incident")
	assert incident.ended_at
	srs_redis().delete("{mine:srs:generation}:owner", "mine:srs:generation")


# After a migration


@pytest.fixture
def config(owned) -> Iterator[dict[str, Any]]:
	"""The site's configuration on disk, which is put back."""
	with site_config():
		yield lambda: frappe.get_site_config()
	srs_redis().delete(*[key for key in srs_keys("*generation*") if frappe.local.site in key] or ["none"])


def test_a_migration_gives_a_copy_a_namespace(config, capsys):
	given = give_to(database="memora_other", site="other.site", server=ELSEWHERE)
	install._settle_keys()
	assert config().srs_redis_namespace == frappe.local.site
	assert "belong to site other.site (database memora_other on elsewhere:3306/2)" in capsys.readouterr().out
	assert owner() == given
	assert can_use()


def test_a_copy_whose_namespace_was_copied_along_gets_another_one(config):
	"""As when a whole bench is copied: both sites have the same name and configuration."""
	for prefix in ("", f"{frappe.local.site}:"):
		claim = {**own(), "database": "memora_other", "seen": int(time.time())}
		srs_redis().hset(f"{{{prefix}srs:generation}}:owner", mapping=claim)
	install._settle_keys()
	assert config().srs_redis_namespace.startswith(f"{frappe.local.site} ")
	assert can_use()


def test_a_migration_takes_over_what_nobody_has_claimed_for_minutes(config):
	give_to(server=ELSEWHERE, seconds_ago=LAPSE_SECONDS + 2)
	install._settle_keys()
	assert not config().get("srs_redis_namespace")
	assert owner()["server"] == own()["server"]


def test_a_migration_waits_until_the_claim_of_a_site_that_was_moved_has_lapsed(config, monkeypatch):
	monkeypatch.setattr(settling, "LOOK_SECONDS", 0.1)
	give_to(server=ELSEWHERE, seconds_ago=LAPSE_SECONDS - 1)
	install._settle_keys()
	assert not config().get("srs_redis_namespace")
	assert owner()["server"] == own()["server"]


def test_a_migration_leaves_the_keys_to_a_site_of_the_same_name_that_lives(config, monkeypatch):
	looks = []

	def another_claims(seconds: float) -> None:
		looks.append(give_to(server=ELSEWHERE, seconds_ago=50))

	give_to(server=ELSEWHERE, seconds_ago=60)
	monkeypatch.setattr(settling.time, "sleep", another_claims)
	install._settle_keys()
	assert config().srs_redis_namespace == frappe.local.site
	assert [owner()] == looks


def test_without_redis_a_migration_goes_on(config, no_redis, capsys):
	install._settle_keys()
	assert "can't be asked whose its keys are" in capsys.readouterr().out
	assert not config().get("srs_redis_namespace")


# By hand


def run(*args: str) -> Any:
	frappe.db.rollback()
	return bench_commands.run("--site", frappe.local.site, "memora", *args)


def test_keys_of_a_site_that_is_gone_are_taken_by_command(player):
	make_records(player, 3)
	give_to(database="memora_other", site="other.site", server=ELSEWHERE)
	assert run("take-keys").exit_code == 1
	assert owner()["site"] == "other.site"
	assert "taken from  site other.site" in run("take-keys", "--yes").stdout
	assert owner()["database"] == frappe.conf.db_name
	new_process()
	assert not read(player)["is_degraded"]


def test_all_is_declared_stale_by_command(player, season):
	make_records(player, 3)
	read(player)
	count = int(srs_redis().get("srs:generation") or 0)
	assert run("declare-stale").exit_code == 0
	assert int(srs_redis().get("srs:generation")) == count + 1
	new_process()
	assert loading.load_due(Schedules(), player, season)[1]


def test_nothing_of_another_site_is_declared_stale():
	given = give_to(database="memora_other")
	count = srs_redis().get("srs:generation")
	done = run("declare-stale")
	assert (done.exit_code, "its keys belong to" in done.stdout) == (1, True)
	assert (owner(), srs_redis().get("srs:generation")) == (given, count)


def test_a_migration_during_an_outage_has_every_schedule_loaded_again(config):
	"""A process of an earlier version noted nowhere whose schedules lack what it missed."""
	before = int(srs_redis().get("srs:generation") or 0)
	install._settle_keys()
	assert int(srs_redis().get("srs:generation") or 0) == before
	incidents.open_incident("gone")
	frappe.db.rollback()
	install._settle_keys()
	assert int(srs_redis().get("srs:generation")) == before + 1
