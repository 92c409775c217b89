"""Errors of MariaDB: what each means, whichever driver raises it.

Frappe 15 talks to MariaDB through PyMySQL. Frappe 16 uses mysqlclient, or PyMySQL if the site's configuration says
`use_mysqlclient: 0`. Their exceptions have nothing in common but the names, so no other module of the app imports a
driver. An error's meaning is read from MariaDB's number: the drivers put some numbers into different classes.
"""

from contextlib import suppress
from importlib import import_module
from types import ModuleType

import frappe


def _installed_drivers() -> list[ModuleType]:
	drivers = []
	for name in ("pymysql", "MySQLdb"):
		with suppress(ImportError):
			drivers.append(import_module(name))
	return drivers


DRIVERS = _installed_drivers()

LOCK_WAIT_TIMEOUT = 1205
RECORD_CHANGED = 1020
READ_ONLY = {1290, 1792, 1836}  # the server, or this transaction, takes no writes
TABLE_MISSING = 1146
# Errors that Frappe raises in place of the driver's, and the numbers that they stand for
FRAPPES: dict[type[Exception], int] = {
	frappe.QueryDeadlockError: 1213,
	frappe.QueryTimeoutError: LOCK_WAIT_TIMEOUT,
	frappe.InReadOnlyMode: 1792,
}
# What was asked is not to be had here: not supported (1235), no such function (1305). Trying again is of no use
REFUSED = {1235, 1305}
# All errors of MariaDB and of the drivers
ERRORS: tuple[type[Exception], ...] = (*FRAPPES, *(driver.Error for driver in DRIVERS))
# Those for which the values of a statement are not to blame: MariaDB is not there, or could not do it
FAILURES: tuple[type[Exception], ...] = (
	*FRAPPES,
	*(
		error
		for driver in DRIVERS
		for error in (driver.OperationalError, driver.InterfaceError, driver.InternalError)
	),
)

# Another transaction was in the way: a changed record (snapshot isolation), a lock, a deadlock, a changed table.
IN_THE_WAY = {RECORD_CHANGED, LOCK_WAIT_TIMEOUT, 1213, 1412, 1615}
# The reason may pass: no memory, disk space or connection left (1021 to 1041, 1114, 1203, 1206, 1226, 1637), a Galera
# node that is not ready (1047), a server or transaction that is read-only (1290, 1792, 1836), a server that shuts down
# (1053), a failed commit (1180), a statement or connection that somebody or a time limit has ended (1317, 1927, 1969).
MAY_PASS = {
	*READ_ONLY,
	1021,
	1026,
	1028,
	1030,
	1037,
	1038,
	1040,
	1041,
	1047,
	1053,
	1114,
	1180,
	1203,
	1206,
	1226,
	1317,
	1637,
	1927,
	1969,
}
# Numbers that the client gives, not the server: there is no connection. Below 1000 stand errors of the server's files.
CLIENT = (range(2000, 3000), range(5000, 6000))
SERVERS_FILES = range(1, 1000)


def number_of(error: BaseException) -> int:
	"""Returns MariaDB's number of an error, also of one that Frappe has put into one of its own. 0 if it has none."""
	first = error.args[0] if error.args else 0
	if isinstance(first, BaseException):
		return number_of(first)
	if isinstance(first, int):
		return first
	return next((number for kind, number in FRAPPES.items() if isinstance(error, kind)), 0)


def has_changed(error: BaseException) -> bool:
	"""Says whether a row was changed since this transaction saw it, where MariaDB locks by snapshot (innodb_snapshot_isolation)."""
	return isinstance(error, ERRORS) and number_of(error) == RECORD_CHANGED


def is_in_the_way(error: BaseException) -> bool:
	"""Says whether another transaction was in the way, so that the same transaction may succeed at once."""
	return isinstance(error, ERRORS) and number_of(error) in IN_THE_WAY


def is_read_only(error: BaseException) -> bool:
	"""Says whether the server, or this transaction, takes no writes."""
	return isinstance(error, ERRORS) and number_of(error) in READ_ONLY


def is_refused(error: BaseException) -> bool:
	"""Says whether the server, or a proxy before it, does not do at all what it was asked."""
	return isinstance(error, ERRORS) and number_of(error) in REFUSED


def is_lost(error: BaseException) -> bool:
	"""Says whether there is no connection, or one that can't be used again."""
	if not isinstance(error, ERRORS):
		return False
	number = number_of(error)
	if not number:  # a closed connection, or a reply that PyMySQL can't read
		return type(error).__name__ in ("InterfaceError", "InternalError")
	return any(number in numbers for numbers in CLIENT)


def may_pass(error: BaseException) -> bool:
	"""Says whether the statement that failed may succeed if it is tried again unchanged, later."""
	if not isinstance(error, ERRORS):
		return False
	number = number_of(error)
	return is_in_the_way(error) or is_lost(error) or number in MAY_PASS or number in SERVERS_FILES
