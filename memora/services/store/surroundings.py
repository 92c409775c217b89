"""What kind of server MariaDB is, and in which state: what requests heed, and what the doctor looks at."""

import frappe

from memora.services.settings import forget_settings, get_server, get_settings
from memora.services.store import database

# Of the present user
MAY_WRITE_SQL = """
	SELECT 1 FROM information_schema.USER_PRIVILEGES
	WHERE PRIVILEGE_TYPE IN ('SUPER', 'READ_ONLY ADMIN') LIMIT 1"""


def heed_read_only() -> None:
	"""Has Frappe treat this request as one during maintenance while MariaDB takes no writes.

	Otherwise it would write when it is time to: that a session is in use, say. And a server that takes no writes may be a
	primary of yesterday, so that database.only_reads holds, too.
	"""
	if not get_server().is_read_only:
		return
	forget_settings()
	get_settings()  # by now it may take writes again
	if get_server().is_read_only and not frappe.db.sql(MAY_WRITE_SQL):
		frappe.flags.read_only = True


def see_one_moment() -> None:
	"""Begins a view as database.new_snapshot does, unless sessions of this server have one anyway."""
	if get_server().isolation != database.REPEATABLE_READ:
		database.new_snapshot()


def get_address() -> str:
	"""Returns the name of the server that a new connection leads to."""
	((host, port, server_id),) = database.query("SELECT @@hostname, @@port, @@server_id")
	return f"{host}:{port}/{server_id}"


def count_galera_nodes() -> int:
	"""Returns how many nodes the server's Galera cluster has; 0 if it is in none."""
	rows = frappe.db.sql("SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'")
	return int(rows[0][1]) if rows and frappe.db.sql("SELECT @@GLOBAL.wsrep_on")[0][0] else 0


def is_durable() -> bool:
	"""Says whether a commit is on disk when it is acknowledged."""
	return frappe.db.sql("SELECT @@GLOBAL.innodb_flush_log_at_trx_commit")[0][0] == 1


def is_encrypted() -> bool:
	"""Says whether this connection is encrypted."""
	return bool(frappe.db.sql("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1])


def get_clock() -> float:
	"""Returns the server's clock as Unix seconds."""
	return float(frappe.db.sql("SELECT UNIX_TIMESTAMP() + MICROSECOND(NOW(6)) / 1000000")[0][0])


def get_version() -> str:
	"""Returns the server's version as the server writes it, such as `10.11.6-MariaDB-0+deb12u1`."""
	return frappe.db.sql("SELECT VERSION()")[0][0]


def get_open_files() -> int:
	"""Returns how many files of tables InnoDB keeps open. It closes one of them to open another."""
	return int(frappe.db.sql("SELECT @@innodb_open_files")[0][0])
