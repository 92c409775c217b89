"""Where the pictures, sounds and links of a question may lead. Pure: no frappe, no network.

Pictures and sounds come from this site's public files, or over HTTPS from hosts that Memora Settings name. Any other
address of this site would make a learner's browser call it in her name, and Frappe logs out by GET. A stranger's
host would learn who learns when.

memora/public/js/review/sanitise.js has the same rules for the learner's page.
"""

import re
from urllib.parse import unquote, urlsplit

MAX_HOSTS = 50
FILES = "/files/"
HOST = re.compile(
	r"(?=.{1,259}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?::[1-9]\d{0,4})?"
)
# Browsers leave out control characters, and read a backslash as a slash.
CONFUSING = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")


def parse_hosts(text: str) -> list[str]:
	"""Returns the names of hosts in a text, in small letters: one in each line, or with blanks or commas between."""
	return list(dict.fromkeys(name.lower() for name in re.split(r"[\s,]+", text) if name))


def is_host(name: str) -> bool:
	"""Says whether a name is that of a host: "media.example.com", or with a port "media.example.com:8443"."""
	return bool(HOST.fullmatch(name))


def is_media_allowed(address: str, hosts: frozenset[str] = frozenset()) -> bool:
	"""Says whether a picture or a sound may come from an address."""
	if CONFUSING.search(address):
		return False
	return is_public_file(address) or _host_of(address, "https") in hosts


def is_link_allowed(address: str) -> bool:
	"""Says whether a link may lead to an address: to a page of another site, or to a public file of this one."""
	if CONFUSING.search(address):
		return False
	return is_public_file(address) or bool(_host_of(address, "https", "http"))


def is_public_file(address: str) -> bool:
	"""Says whether an address is that of a public file of this site, and of nothing else once it is decoded."""
	if re.search(r"[?#]", address) or not address.startswith(FILES):
		return False
	decoded = unquote(address)
	parts = decoded.removeprefix(FILES).split("/")
	return not CONFUSING.search(decoded) and not {"", ".", ".."} & {part.strip() for part in parts}


def _host_of(address: str, *schemes: str) -> str | None:
	"""Returns host and port of an absolute address; None for any other, and for one with a name or a password."""
	try:
		parts = urlsplit(address)
		port = parts.port
	except ValueError:
		return None
	if parts.scheme.lower() not in schemes or not parts.hostname or "@" in parts.netloc:
		return None
	return f"{parts.hostname}:{port}" if port and port != 443 else parts.hostname
