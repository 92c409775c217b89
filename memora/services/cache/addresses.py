"""Addresses of Redis servers: read, made of their parts, and shown to people and logs without passwords."""

import re
import socket
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

P = ParamSpec("P")
R = TypeVar("R")

SCHEMES = ("redis://", "rediss://", "unix://")
ENCODED = "In a password, write % / ? # @ : as %25 %2F %3F %23 %40 %3A"
SOCKET = re.compile(r"unix://(?:[^@/]*@)?([^?]*)(?:\?.*)?", re.DOTALL)
# A login is looked for only where the address makes no sense without one: a password may hold any character
ADDRESS = re.compile(
	r"(?P<scheme>\w+)://(?:(?P<user>[^:@/]*)(?P<colon>:?).*?@)??"
	r"(?P<place>(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d+)?(?:/\w*)?)(?:\?.*)?",
	re.DOTALL,
)


class InvalidConfiguration(Exception):
	"""A setting that names no Redis. The message says which setting, and what would be right.

	It quotes nothing that may hold a password: people and logs are shown it.
	"""


def without_variables(function: Callable[P, R]) -> Callable[P, R]:
	"""Has an InvalidConfiguration come from here.

	Error Log shows the variables of each function that an error has passed, and in there are settings with passwords.
	"""

	@wraps(function)
	def call(*args: P.args, **options: P.kwargs) -> R:
		try:
			return function(*args, **options)
		except InvalidConfiguration as error:
			raise InvalidConfiguration(*error.args) from None

	return call


def readable(url: str, setting: str) -> str:
	"""Returns the URL that a setting holds as it is. Raises InvalidConfiguration if it can't be taken apart."""
	try:
		is_readable = urlsplit(url).port is None or bool(urlsplit(url).hostname)
	except ValueError:
		is_readable = False
	if not is_readable or not url.startswith(SCHEMES):
		raise InvalidConfiguration(f"{setting} must be redis://[[user]:password@]host[:port]. {ENCODED}")
	return url


def shown(url: str) -> str:
	"""Returns the URL of a Redis without its options, and with the word `password` in place of a password."""
	if socket := SOCKET.fullmatch(url):
		return f"unix://{socket[1]}"
	parts = ADDRESS.fullmatch(url)
	if not parts:
		return f"{url.partition('://')[0]}://…" if "://" in url else "…"
	login = f"{parts['user']}{':password' if parts['colon'] else ''}@" if parts["user"] is not None else ""
	return f"{parts['scheme']}://{login}{parts['place']}"


def to_write(url: str, login: str | None = None) -> str:
	"""Returns the URL of a Redis as an operator is to write it: with its options, and with <password> in place of a password.

	`login` replaces its user and password, and an empty one takes them out.
	"""
	parts = urlsplit(url)
	user, has_login, place = parts.netloc.rpartition("@")
	if login is None:
		login = f"{user.partition(':')[0]}:<password>" if has_login else ""
	options = [
		(name, value) for name, value in parse_qsl(parts.query) if name not in ("username", "password")
	]
	netloc = f"{login}@{place}" if login else place
	return urlunsplit(parts._replace(netloc=netloc, query=urlencode(options)))


def machines(host: str) -> set[str]:
	"""Returns the addresses of a host, and `localhost` for each that is this machine's. A name that nobody knows stays."""
	try:
		found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
	except OSError:
		return {host.lower()}
	return {"localhost" if _is_own(address) else address for address in found}


def _is_own(address: str) -> bool:
	"""Says whether an address is this machine's: only such an address can be bound."""
	family = socket.AF_INET6 if ":" in address else socket.AF_INET
	with socket.socket(family, socket.SOCK_DGRAM) as probe:
		try:
			probe.bind((address, 0))
		except OSError:
			return False
	return True


def at(url: str, host: str, port: int) -> str:
	"""Returns the URL with another host and port."""
	parts = urlsplit(url)
	login, at, _place = parts.netloc.rpartition("@")
	return urlunsplit(parts._replace(netloc=f"{login}{at}{host}:{port}"))


def of_master(options: dict[str, Any], host: str, port: int) -> str:
	"""Returns the URL of a master or a replica, from the setting srs_redis_sentinel."""
	login = _login(options.get("username"), options.get("password"))
	return _of_sentinels(options, f"{login}{host}:{port}/{options.get('db', 0)}")


def of_sentinel(options: dict[str, Any], host: str, port: int) -> str:
	return _of_sentinels(options, f"{_login(None, options.get('sentinel_password'))}{host}:{port}/0")


def _of_sentinels(options: dict[str, Any], rest: str) -> str:
	if not options.get("tls"):
		return f"redis://{rest}"
	authority = options.get("tls_ca_file")
	return f"rediss://{rest}" + (f"?{urlencode({'ssl_ca_certs': authority})}" if authority else "")


def _login(user: str | None, password: str | None) -> str:
	return f"{quote(user or '', safe='')}:{quote(password, safe='')}@" if password else ""
