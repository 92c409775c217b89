"""A Redis whose user lacks rights: the incident and the doctor name what is missing, and what the documentation lists is enough."""

import re
from collections.abc import Iterator

import frappe
import pytest
import redis

from devtools.paths import PROJECT
from memora.services.cache import rights, survey
from memora.services.cache.keys import ScheduleKeys
from memora.services.cache.status import get_cache_status
from memora.services.operations import doctor
from memora.services.srs_redis_manager import SRSRedisManager
from tests.integration import state
from tests.integration.factories import make_records, set_limits
from tests.integration.redis_moods import OPEN_SECONDS, Case, Clock
from tests.integration.redis_proxy import RedisProxy
from tests.integration.redis_server import RedisServer

PASSWORD = "p"
NEEDED = rights.rules(ScheduleKeys(None))
KEY_RULES = [rule for rule in NEEDED if rule.startswith("~")]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RedisServer]:
	server = RedisServer(tmp_path_factory.mktemp("redis"))
	server.start()
	yield server
	server.kill()


@pytest.fixture
def user(server) -> Iterator[str]:
	"""The user by which this process signs in, with the rights that the documentation lists."""
	name = f"memora-{frappe.generate_hash(length=6)}"
	server.admin.flushall()
	server.admin.config_resetstat()
	server.admin.execute_command(*documented(name))
	frappe.local.conf.srs_redis_cache = server.url.replace("//", f"//{name}:{PASSWORD}@")
	yield name
	server.admin.execute_command("ACL", "DELUSER", name)


@pytest.fixture
def case(user, player, season) -> Case:
	set_limits(user_seconds=0)
	make_records(player, 12)
	return Case(player, season)


def documented(name: str) -> list[str]:
	text = (PROJECT / "docs" / "install.md").read_text()
	(line,) = re.findall(r"^ACL SETUSER memora on .*$", text, re.MULTILINE)
	return line.replace("><password>", f">{PASSWORD}").replace("memora", name, 1).split()


def take(server: RedisServer, user: str, rule: str) -> None:
	"""Takes a right away."""
	if rule.startswith("~"):
		server.admin.execute_command("ACL", "SETUSER", user, "resetkeys", *(set(KEY_RULES) - {rule}))
	else:
		server.admin.execute_command("ACL", "SETUSER", user, rule.replace("+", "-", 1))


def do_all(case: Case) -> None:
	"""The ways of the app that ask Redis."""
	manager = SRSRedisManager()
	case.look(is_degraded=False)
	case.answer(is_degraded=False)
	case.look(is_degraded=False)
	question = case.questions[0]
	manager.schedules.move(case.season, {case.player: {question: 0}})
	manager.add_item(case.player, case.season, question, 0)
	manager.schedules.read_all(case.player, case.season)
	manager.schedules.count_due(case.player, case.season)
	assert manager.schedules.measure(case.player, case.season).pop("memory_usage_bytes")
	assert survey.survey_keys(manager.schedules).schedules == {case.season: 1}
	manager.remove_item(case.player, case.season, question)
	manager.schedules.clear_learner(case.player, case.season)
	case.look(is_degraded=False)
	manager.schedules.clear_season(case.season)
	case.look(is_degraded=False)
	manager.schedules.gateway.ask(manager.schedules.gateway.count_outage)
	case.look(is_degraded=False)


def look() -> list[doctor.Finding]:
	return [finding for finding in doctor.examine() if finding.check in ("redis_rights", "redis_reachable")]


def test_the_documented_rights_are_enough(server, user, case):
	assert [rule for rule in documented(user) if rule in NEEDED] == NEEDED
	do_all(case)
	assert not state.rows("Safe Mode Incident")
	assert look() == []


def test_each_documented_right_is_used(server, user, case):
	do_all(case)
	look()
	used = {f"+{name.removeprefix('cmdstat_')}" for name in server.admin.info("commandstats")}
	assert used - {"+acl|setuser", "+config|resetstat"} >= {rule for rule in NEEDED if rule not in KEY_RULES}


def test_keys_of_a_namespace(server, user, case):
	frappe.local.conf.srs_redis_namespace = "a"
	case.look(is_degraded=True)
	server.admin.execute_command("ACL", "SETUSER", user, *look()[0].mend.partition(user)[2].split())
	SRSRedisManager().schedules.gateway.server.breaker.clock = clock = Clock()
	clock.ahead += OPEN_SECONDS
	case.look(is_degraded=False)


@pytest.mark.parametrize("rule", [*KEY_RULES, "+info", "+eval", "+evalsha", "+zcount"])
def test_an_incident_names_the_right_that_is_missing(server, user, case, rule):
	case.look(is_degraded=False)
	SRSRedisManager().schedules.gateway.server.breaker.clock = clock = Clock()
	server.admin.script_flush()
	take(server, user, rule)
	case.look(is_degraded=True)
	case.answer(is_degraded=True)
	(incident,) = state.rows("Safe Mode Incident")
	command = look()[0].mend.partition(": ")[2]
	assert incident.reason.startswith("it does not let its user do what Memora needs: ")
	assert incident.reason.endswith(command)
	assert rule in command.split()
	server.admin.execute_command(*command.split())
	clock.ahead += OPEN_SECONDS
	case.look(is_degraded=False)
	assert not state.rows("Safe Mode Incident", ended_at=None)


def test_the_doctor_names_each_right_that_is_missing(server, user):
	client = redis.Redis.from_url(frappe.local.conf.srs_redis_cache, decode_responses=True)
	for rule in NEEDED:
		take(server, user, rule)
		found = rights.find_lacking(client, ScheduleKeys(None))
		assert (found.user, found.rules) == (user, KEY_RULES if rule in KEY_RULES else [rule])
		server.admin.execute_command("ACL", "SETUSER", user, *found.rules)
		assert not rights.find_lacking(client, ScheduleKeys(None))


@pytest.mark.parametrize("rule", ["+scan", "+dbsize", "+memory|usage"])
def test_without_what_no_learner_needs_there_is_no_outage(server, user, case, rule):
	case.look(is_degraded=False)
	take(server, user, rule)
	(finding,) = look()
	assert finding.mend.endswith(f"ACL SETUSER {user} {rule}")
	status = get_cache_status()
	assert (status["redis_connected"], status["total_keys"]) == (True, 1 if "memory" in rule else None)
	size = SRSRedisManager().schedules.measure(case.player, case.season)
	assert (size["total_items"], bool(size["memory_usage_bytes"])) == (12, "memory" not in rule)
	case.look(is_degraded=False)
	assert not state.rows("Safe Mode Incident")


def test_settings_that_may_not_be_asked_for_are_read_from_info(server, user):
	server.admin.config_set("maxmemory-policy", "allkeys-lru")
	server.admin.config_set("appendonly", "no")
	found = {finding.check for finding in doctor.examine()}
	assert {"redis_evicts", "redis_persists"} <= found
	server.admin.config_set("maxmemory-policy", "noeviction")
	assert "redis_evicts" not in {finding.check for finding in doctor.examine()}


def test_looking_leaves_nothing(server, user):
	before = server.admin.dbsize()
	assert not rights.find_lacking(
		redis.Redis.from_url(server.url, decode_responses=True), ScheduleKeys(None)
	)
	assert server.admin.dbsize() == before


# A proxy


@pytest.mark.parametrize("command", ["INFO", "EVALSHA"])
def test_a_command_that_a_proxy_does_not_know_is_named(tmp_path, player, season, command):
	"""The words are those of twemproxy. A Redis that lacks the command stands for the proxy."""
	server = RedisServer(tmp_path / "lacking")
	server.start("--rename-command", command, "")
	frappe.local.conf.srs_redis_cache = server.url
	set_limits(user_seconds=0)
	make_records(player, 12)
	try:
		Case(player, season).look(is_degraded=True)
		(finding,) = look()
	finally:
		server.kill()
	(incident,) = state.rows("Safe Mode Incident")
	cause = "it lacks a command that Memora needs, or a proxy before it does"
	assert incident.reason == f"{cause}: unknown command {command}"
	assert finding.problem.endswith(f": {command}")


def test_the_doctor_names_a_command_to_which_a_proxy_closes_the_connection(server):
	proxy = RedisProxy(server.url)
	proxy.closes_on = b"MEMORY"
	client = redis.Redis.from_url(proxy.url, decode_responses=True)
	assert rights.find_lacking(client, ScheduleKeys(None)).unknown == ["memory|usage"]
	client.close()
	proxy.stop()
