"""Looks whether MariaDB gives locks, and whether all of this site's statements go to one server.

GET_LOCK makes one learner's submissions follow each other. It holds on one server: with two that take writes, two answers
of one learner are both acknowledged, and one of them moves nothing.
"""

from collections.abc import Iterator

import frappe
from frappe import _

from memora.exceptions import DatabaseUnavailable
from memora.services.store import database, surroundings

Findings = Iterator[tuple[str, str]]

CONNECTIONS = 6  # a proxy that goes by turns leads two of them to different servers


def find_refused_locks() -> Findings:
	try:
		with database.named_lock("doctor", 0):
			pass
	except DatabaseUnavailable:
		frappe.clear_messages()
		yield (
			_(
				"MariaDB, or a proxy before it, refuses GET_LOCK. So answers are refused (503), and most administrators' jobs."
			),
			_("Let Memora write to one MariaDB that gives locks; see docs/scaling.md, One writer."),
		)


def find_writers() -> Findings:
	mend = _(
		"Let db_host lead to one server at a time, and to another only when that one is gone; see docs/scaling.md, One writer."
	)
	servers = {surroundings.get_address() for _number in range(CONNECTIONS)}
	if len(servers) > 1:
		yield (
			_("Connections of this site go to several MariaDB servers: {0}.").format(
				", ".join(sorted(servers))
			),
			mend,
		)
	nodes = surroundings.count_galera_nodes()
	if nodes > 1:
		yield (
			_("MariaDB is a Galera cluster of {0} nodes. A lock of Memora holds on one node only.").format(
				nodes
			),
			mend + " " + _("If it does already, name mariadb_one_writer in memora_doctor_accepts."),
		)
