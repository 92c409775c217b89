"""Servers that strangers can reach, for real, and what crosses the network in plain text: the doctor finds each."""

from collections.abc import Iterator

import frappe
import pytest

from devtools import ports
from memora.services.operations import closed_doors, doctor
from memora.services.store import surroundings
from tests.integration import certificates
from tests.integration.redis_server import RedisServer
from tests.integration.test_doctor import CACHE, QUEUE, SRS, look, only, with_scheduler  # noqa: F401

PASSWORD = "secret-of-the-tests"
TIMEOUT = "socket_timeout=1"


@pytest.fixture
def server(tmp_path) -> Iterator[RedisServer]:
	server = RedisServer(tmp_path / "redis")
	server.start("--appendonly", "yes")
	yield server
	server.kill()


def open_to_all(server: RedisServer) -> None:
	for setting, value in {"bind": "* -::*", "protected-mode": "no"}.items():
		server.admin.config_set(setting, value)


def use(where: str, server: RedisServer, login: str = "") -> None:
	frappe.local.conf[where] = f"redis://{login}127.0.0.1:{server.port}/0?{TIMEOUT}"


HARM = {SRS: "learners are shown", QUEUE: "run programs", CACHE: "run programs"}


@pytest.mark.parametrize("where", HARM)
def test_a_redis_that_lets_in_whoever_reaches_it(server, where):
	use(where, server)
	assert look() == []
	open_to_all(server)
	finding = only("redis_closed", where, HARM[where])
	assert "requirepass <password>" in finding.mend
	server.admin.config_set("requirepass", PASSWORD)
	use(where, server, f":{PASSWORD}@")
	assert look() == []


@pytest.mark.parametrize(
	("setting", "value"), [("bind", "127.0.0.1 -::1"), ("protected-mode", "yes"), ("requirepass", PASSWORD)]
)
def test_each_way_to_close_it(server, setting, value):
	use(QUEUE, server)
	open_to_all(server)
	only("redis_closed")
	server.admin.config_set(setting, value)
	assert [f for f in look() if f.check == "redis_closed"] == []


def test_a_user_of_an_acl_closes_it_once_the_default_user_is_off(server):
	open_to_all(server)
	server.admin.execute_command("ACL", "SETUSER", "memora", "on", f">{PASSWORD}", "~*", "+@all")
	use(QUEUE, server, f"memora:{PASSWORD}@")
	assert PASSWORD not in str(only("redis_closed"))
	server.admin.execute_command("ACL", "SETUSER", "default", "off")
	assert look() == []


def test_a_mode_that_older_servers_take_only_without_addresses(server, monkeypatch):
	use(QUEUE, server)
	server.admin.config_set("bind", "* -::*")
	assert look() == []
	monkeypatch.setattr(closed_doors, "_version", lambda url: 6)
	only("redis_closed")


def test_a_node_of_a_cluster(in_cluster, cluster):
	found = [f for f in look() if f.check == "redis_closed"]
	assert found == []
	open_to_all(cluster.nodes[1])
	(found,) = [f for f in look() if f.check == "redis_closed"]
	assert str(cluster.nodes[1].port) in found.problem
	cluster.nodes[1].admin.config_set("protected-mode", "yes")


# TLS


@pytest.fixture
def elsewhere(monkeypatch) -> None:
	"""All servers are taken for other machines'."""
	monkeypatch.setattr(closed_doors, "is_local", lambda host: False)


def found(check: str) -> list[str]:
	return [f.problem for f in look() if f.check == check]


def test_servers_elsewhere(elsewhere):
	assert [text.split()[0] for text in found("redis_encrypted")] == [SRS, QUEUE, CACHE]
	assert len(found("redis_closed")) == 3
	assert len(found("mariadb_encrypted")) == 1


def test_a_mariadb_that_is_reached_with_tls(elsewhere, monkeypatch):
	monkeypatch.setattr(surroundings, "is_encrypted", lambda: True)
	assert found("mariadb_encrypted") == []


def test_a_redis_with_tls(elsewhere, tmp_path):
	files = certificates.make(tmp_path)
	server = RedisServer(tmp_path / "redis")
	port = ports.any_free()
	with_tls = certificates.options_of_redis(files, port)
	server.start(*with_tls, "--requirepass", PASSWORD, "--appendonly", "yes")
	try:
		url = f"rediss://:{PASSWORD}@127.0.0.1:{port}/0?{TIMEOUT}&ssl_ca_certs={files.authority}"
		frappe.local.conf[QUEUE] = url
		assert QUEUE not in str(found("redis_encrypted") + found("redis_closed") + found("redis_reachable"))
	finally:
		server.kill()


# Hosts


@pytest.mark.parametrize("host", [None, "", "localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine(host):
	assert closed_doors.is_local(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "8.8.8.8", "no-such-host.invalid", "fe80::1%lo"])
def test_another_machine(host):
	assert not closed_doors.is_local(host)


def test_what_is_accepted_is_left_out(server):
	use(QUEUE, server)
	open_to_all(server)
	frappe.local.conf[doctor.ACCEPTED].append("redis_closed")
	assert look() == []
