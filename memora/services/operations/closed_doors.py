"""Looks for servers that strangers can reach, and for passwords and answers that cross the network in plain text.

The values in the cache's and the queue's Redis are pickles, so whoever writes there runs code in web processes and workers.
"""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import frappe
from frappe import _
from redis.exceptions import AskError, AuthenticationError, ClusterDownError, NoPermissionError, RedisError

from memora.services.cache.addresses import shown
from memora.services.cache.connections import SENTINEL
from memora.services.operations import redis_servers
from memora.services.operations.redis_servers import WHERE_CACHE, WHERE_QUEUE, WHERE_SRS
from memora.services.store import surroundings

Findings = Iterator[tuple[str, str]]

# Before version 7 the mode protects only a server whose configuration names no address
MODE_PROTECTS_SINCE = 7


def find_open_redis() -> Findings:
	"""Yields each Redis and Sentinel that lets in whoever reaches it, and that others than this machine can reach."""
	for where, url in _all_servers():
		if not _asks_for_password(url) and _is_reached_by_others(url):
			yield (
				_("{0} lets in whoever reaches it: {1}. {2}").format(where, shown(url), _harm(where)),
				_(
					"In its redis.conf: bind 127.0.0.1 -::1, or a password: requirepass <password>. A password goes into the URL, too: redis://:<password>@<host>:<port>"
				),
			)


def _harm(where: str) -> str:
	return {
		WHERE_SRS: _("So anybody can change what learners are shown."),
		WHERE_QUEUE: _("So anybody can run programs as the bench's user."),
		WHERE_CACHE: _("So anybody can run programs as the bench's user."),
	}.get(where, _("So anybody can name another server as the master."))


def find_plain_redis() -> Findings:
	"""Yields each Redis and Sentinel on another machine that is reached without TLS."""
	for where, url in _all_servers():
		if urlsplit(url).scheme == "redis" and not is_local(urlsplit(url).hostname):
			yield (
				_("{0} is on another machine and is reached without TLS: {1}").format(where, shown(url)),
				_(
					"Let that server listen with TLS (tls-port in its redis.conf), and write rediss:// in the URL; for Sentinels, set tls in {0}."
				).format(SENTINEL),
			)


def find_plain_mariadb() -> Findings:
	host = frappe.conf.db_host
	if not frappe.conf.db_socket and not is_local(host) and not surroundings.is_encrypted():
		yield (
			_("MariaDB is on another machine ({0}) and is reached without TLS.").format(host),
			_(
				"Give MariaDB a certificate, set db_ssl_ca in the site's configuration (on Frappe 15 also db_ssl_cert and db_ssl_key), and have MariaDB insist: ALTER USER … REQUIRE SSL"
			),
		)


def is_local(host: str | None) -> bool:
	"""Says whether a host is this machine, whatever its name is."""
	try:
		found = socket.getaddrinfo(host or "localhost", None)
	except OSError:
		return False
	return all(ip_address(str(address[0]).partition("%")[0]).is_loopback for *_others, address in found)


def _all_servers() -> list[tuple[str, str]]:
	sentinels = ((SENTINEL, url) for url in redis_servers.sentinel_urls())
	return [*redis_servers.servers(), *sentinels]


def _asks_for_password(url: str) -> bool:
	"""Says whether a server lets nobody read without a password. True, too, if it does not answer."""
	try:
		redis_servers.connect(_anonymous(url)).exists("memora")
	except (AuthenticationError, NoPermissionError):
		return True
	except (RedisError, OSError) as error:
		return not _lets_in(error)
	return False


def _lets_in(error: Exception) -> bool:
	"""Says whether a server has looked at a command before it refused it: a Sentinel, or another node of a cluster."""
	if isinstance(error, AskError | ClusterDownError):  # redis-py 7 leaves these words out
		return True
	return any(word in str(error) for word in ("unknown command", "MOVED", "slot", "CLUSTERDOWN"))


def _anonymous(url: str) -> str:
	parts = urlsplit(url)
	options = [(name, text) for name, text in parse_qsl(parts.query) if name not in ("username", "password")]
	place = parts.netloc.rpartition("@")[2]
	return urlunsplit(parts._replace(netloc=place, query=urlencode(options)))


def _is_reached_by_others(url: str) -> bool:
	"""Says whether a server without password takes connections from other machines; False if it does not tell."""
	if urlsplit(url).scheme != "unix" and not is_local(urlsplit(url).hostname):
		return True
	listens = {
		name: redis_servers.setting(url, name) for name in ("bind", "port", "tls-port", "protected-mode")
	}
	if listens["bind"] is None or {listens["port"], listens["tls-port"]} <= {"0", None}:
		return False
	addresses = [address.lstrip("-") for address in listens["bind"].split()]
	is_protected = listens["protected-mode"] == "yes" and (
		not addresses or _version(url) >= MODE_PROTECTS_SINCE
	)
	return not is_protected and not (addresses and all(map(_is_loopback, addresses)))


def _is_loopback(address: str) -> bool:
	return address != "*" and is_local(address)


def _version(url: str) -> int:
	told = redis_servers.ask(url, lambda client: client.info("server")) or {}
	return int(str(told.get("redis_version", "0")).partition(".")[0])
