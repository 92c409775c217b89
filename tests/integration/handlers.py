"""Counts the rows that MariaDB touches: a timing can't tell them on a small table."""

from collections.abc import Iterator
from contextlib import contextmanager

import frappe

# The status variables count themselves, in a table of the server's own: not those of SHOW, which reads by Handler_read_rnd_next.
READS_SQL = """
	SELECT SUM(VARIABLE_VALUE) FROM information_schema.{scope}_STATUS WHERE VARIABLE_NAME IN (
		'HANDLER_READ_FIRST', 'HANDLER_READ_KEY', 'HANDLER_READ_LAST', 'HANDLER_READ_NEXT', 'HANDLER_READ_PREV',
		'HANDLER_READ_RND', 'HANDLER_READ_RND_NEXT')"""


class Reads:
	rows = 0


@contextmanager
def rows_read(scope: str = "SESSION") -> Iterator[Reads]:
	"""Counts what this connection's statements read in the block, by index or not; with the scope GLOBAL, everybody's."""
	reads = Reads()
	own = -_look(scope) + _look(scope)  # what a look adds
	before = _look(scope)
	yield reads
	reads.rows = _look(scope) - before - own


def _look(scope: str) -> int:
	return int(frappe.db.sql(READS_SQL.format(scope=scope))[0][0])
