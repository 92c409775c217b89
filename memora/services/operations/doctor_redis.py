"""Looks whether the schedules' Redis lets Memora do what it needs."""

from collections.abc import Iterator

import frappe
from frappe import _

from memora.services.cache.addresses import shown
from memora.services.cache.keys import ScheduleKeys
from memora.services.operations import redis_servers
from memora.services.operations.redis_servers import WHERE_SRS

Findings = Iterator[tuple[str, str]]


def find_lacking_rights() -> Findings:
	"""Yields each server of the schedules that refuses Memora something, or does not know a command."""
	keys = ScheduleKeys(frappe.conf.get("srs_redis_namespace"))
	for where, url in redis_servers.servers():
		if where != WHERE_SRS or not (lacking := redis_servers.find_lacking(url, keys)):
			continue
		if lacking.rules:
			yield (
				_("The user {0} of {1} lacks rights at {2}.").format(lacking.user, where, shown(url)),
				_("Run this as an administrator of that Redis: {0}").format(lacking.mend),
			)
		if lacking.unknown:
			commands = ", ".join(lacking.unknown).upper()
			yield (
				_("{0} does not know these commands at {1}: {2}").format(where, shown(url), commands),
				_(
					"If a proxy stands before that Redis, let it pass them on, or name the Redis itself in {0}."
				).format(where),
			)
