"""How long MariaDB lets a session of ours wait, work and rest.

A process that hangs or is cut off would keep its locks, and a statement goes on however long it takes: a signal, by
which a job's time ends, does not interrupt mysqlclient. So the limits are set where they hold in any case: in MariaDB.
An error that a limit has caused is one that may pass (failures.may_pass).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import frappe
from frappe.database.database import get_query_execution_timeout
from rq import get_current_job

from memora.services.store import failures


class Limits(NamedTuple):
	"""Session variables of MariaDB, in seconds: for a row's lock, for a statement, between two statements of a transaction."""

	innodb_lock_wait_timeout: int
	max_statement_time: float
	idle_transaction_timeout: int


READ_SQL = "SELECT @@innodb_lock_wait_timeout, @@max_statement_time, @@idle_transaction_timeout"
SET_SQL = """
	SET SESSION innodb_lock_wait_timeout = %(innodb_lock_wait_timeout)s,
	max_statement_time = %(max_statement_time)s, idle_transaction_timeout = %(idle_transaction_timeout)s"""
SET_JOB_SQL = "SET SESSION max_statement_time = %s, idle_write_transaction_timeout = %s"
SET_RESTS_SQL = "SET SESSION idle_transaction_timeout = %s"
REST_AS_BEFORE_SQL = "SET SESSION idle_transaction_timeout = DEFAULT"
# Between two statements of a transaction that others may wait for, which are milliseconds apart
RESTS_SECONDS = 25


@contextmanager
def limited(limits: Limits) -> Iterator[None]:
	"""Limits Frappe's session during the block. Then the limits from before hold again."""
	if frappe.flags.memora_limits == limits:  # a block around this one has set them
		yield
		return
	outer, frappe.flags.memora_limits = frappe.flags.memora_limits, limits
	(before,) = frappe.db.sql(READ_SQL)
	frappe.db.sql(SET_SQL, limits._asdict())
	try:
		yield
	finally:
		frappe.flags.memora_limits = outer
		with suppress(*failures.ERRORS):  # a lost session has no limits to restore
			frappe.db.sql(SET_SQL, Limits(*before)._asdict())


def statement_seconds() -> int:
	"""Returns how long a statement may take: as long as the job that runs it. 0 means without limit.

	Outside of jobs it is what Frappe allows, which is without limit unless the site's configuration says otherwise.
	"""
	job = get_current_job()
	return max(0, int((job and job.timeout) or get_query_execution_timeout()))


def limit_job(method: str, kwargs: dict[str, Any], transaction_type: str) -> None:
	"""Frappe's hook before_job: limits one of Memora's jobs, see limit_work."""
	if str(kwargs.get("job_type") or method).startswith("memora."):
		limit_work()


def limit_work() -> None:
	"""Limits the session of a job or command to its end: a statement takes no longer than the job may, and who has written
	something and then rests for RESTS_SECONDS before the commit loses its connection, and with it its locks."""
	with suppress(*failures.ERRORS):  # which the job or command will meet
		frappe.db.sql(SET_JOB_SQL, (statement_seconds(), RESTS_SECONDS))


def rest_briefly() -> None:
	"""Until it ends, the caller's transaction loses its locks if it rests for RESTS_SECONDS. For who locks a season, for which
	all answers wait: a process that hangs there would let nobody answer for hours."""
	frappe.db.sql(SET_RESTS_SQL, (RESTS_SECONDS,))
	frappe.db.after_commit.add(_rest_as_before)
	frappe.db.after_rollback.add(_rest_as_before)


def _rest_as_before() -> None:
	with suppress(*failures.ERRORS):
		frappe.db.sql(REST_AS_BEFORE_SQL)
