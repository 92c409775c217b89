"""Settles which keys in Redis a site uses, and whose they are. The rules are in ownership."""

import time
from typing import Any

import redis

from memora.services import alerts
from memora.services.cache import connections, rights
from memora.services.cache.breaker import Unavailable
from memora.services.cache.gateway import Gateway
from memora.services.cache.ownership import KeysOfAnother, Owner
from memora.services.cache.schedules import SCAN_KEYS, unlink
from memora.services.cache.server import Action
from memora.services.store import seasons

LOOK_SECONDS = 5  # between two looks whether the owner has renewed its claim


@alerts.in_error_log()
def renew_claim() -> None:
	"""Renews the claim on the keys while nobody learns. A site whose season has no cache claims nothing. Runs every minute."""
	season = seasons.get_active_season()
	if season and season.enable_redis:
		Gateway().is_available()


def delete_keys() -> None:
	"""Deletes all keys of this site, whoever owns them: ask find_other_owner first. Asks MariaDB nothing. Raises Unavailable."""
	gateway = Gateway()

	def delete(client: redis.Redis) -> None:
		for pattern in gateway.keys.own_patterns:
			unlink(client, filter(gateway.keys.is_own, client.scan_iter(match=pattern, count=SCAN_KEYS)))

	_ask(gateway, delete)


def take_keys() -> Owner | None:
	"""Makes the keys this site's, whoever owns them, and returns who owned them. No schedule in them is believed.

	If the other site is still there, its learners get Safe Mode from now on. Raises Unavailable.
	"""
	gateway, other = Gateway(), find_other_owner()
	_ask(gateway, lambda client: client.delete(gateway.keys.owner))
	_ask(gateway, gateway.claim)
	return other


def declare_stale() -> None:
	"""Has every schedule of this site loaded again when its learner comes. Raises Unavailable, also if the keys are another's."""
	gateway = Gateway()
	gateway.ask(gateway.count_outage)


def find_other_owner() -> Owner | None:
	"""Returns who owns the keys; None if this site does, or nobody. Changes nothing. Raises Unavailable."""
	gateway = Gateway()
	found = _ask(gateway, lambda client: client.hmget(gateway.keys.owner, list(Owner._fields)))
	own = gateway.database()
	if not found[0] or found[:2] == [own.name, own.server]:
		return None
	return Owner(*(value or "" for value in found))


def find_owner_in_the_way() -> Owner | None:
	"""Returns who owns the keys, unless this site does, or takes them over with its next read. Raises Unavailable."""
	owner = find_other_owner()
	if owner and owner.has_lapsed and owner.database == Gateway().database().name:
		return None
	return owner


def wait_for_owner(owner: Owner) -> bool:
	"""Says whether an owner is still there: it renews its claim before the claim lapses. Raises Unavailable."""
	while not owner.has_lapsed:
		time.sleep(LOOK_SECONDS)
		now = find_other_owner()
		if not now:
			return False
		if now.seen != owner.seen:
			return True
	return False


def claim() -> None:
	"""Claims the keys. Raises Unavailable, also if they are another's."""
	gateway = Gateway()
	_ask(gateway, gateway.claim)


def _ask(gateway: Gateway, action: Action) -> Any:
	"""Runs an action whoever owns the keys, and whatever the breaker says. Raises Unavailable."""
	connections.begin_action()
	try:
		return rights.explaining(gateway.keys, action)(gateway.server.client)
	except (*connections.CLUSTER_FAILURES, KeysOfAnother) as error:
		raise Unavailable(str(error)) from error
