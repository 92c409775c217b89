"""Whose the keys in Redis are.

Keys are owned by one database: `{srs:generation}:owner` names the database, its server and the site. Who comes first owns
them. From then on

* the same database on the same server is the owner, also after a backup was restored over the site;
* a database with another name never is: its site was made from a copy, or shares the Redis by mistake;
* the same database on another server was failed over or moved, or is a copy on another bench. A process that was the
  owner by the server that the key names goes on, so a failover is noticed by nobody. Any other process has to wait until
  the owner has not renewed its claim for LAPSE_SECONDS. A claim from a time to come is as old as it is far away: a process
  whose clock was wrong made it, and one that lives would have renewed it.

Who is not the owner sends no command on schedules, and learners of that site get Safe Mode.
"""

from typing import Any, NamedTuple

from memora.services import site_time

RENEW_SECONDS = 10  # a claim that is younger is left as it is, so that a read costs no write
LAPSE_SECONDS = 180  # the scheduler of a site that nobody uses renews the claim each minute
NEVER = 1 << 60  # seconds: a replica takes nothing over


class Database(NamedTuple):
	"""The MariaDB of this site: its name, its server, and `digest`, which stands for it in a generation."""

	name: str
	server: str
	digest: str
	is_read_only: bool


class Owner(NamedTuple):
	"""Who owns the keys, as Redis says. `seen` is when the owner renewed its claim, as Unix seconds."""

	database: str
	server: str
	site: str
	seen: str

	@property
	def has_lapsed(self) -> bool:
		age = abs(site_time.epoch_now() - float(self.seen))
		return age >= LAPSE_SECONDS + 1  # the script counts whole seconds

	def __str__(self) -> str:
		return f"site {self.site} (database {self.database} on {self.server})"


class KeysOfAnother(Exception):
	"""The keys in Redis belong to another database than that of this site."""

	def __init__(self, owner: Owner) -> None:
		super().__init__(f"its keys belong to {owner}")
		self.owner = owner


def claim(database: Database, site: str, owned_by: str) -> list[Any]:
	"""Returns ARGV of scripts.EPOCH. `owned_by` is the server by which this process was the owner, or nothing."""
	lapse = NEVER if database.is_read_only else LAPSE_SECONDS
	until = "" if database.is_read_only else owned_by
	return [database.name, database.server, site, int(site_time.epoch_now()), RENEW_SECONDS, lapse, until]
