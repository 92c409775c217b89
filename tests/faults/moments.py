"""The moments at which a fault strikes: each is a fact that MariaDB or Redis states while the victim stands still."""

import time
from urllib.parse import quote

from memora.services.store import row_names
from tests.faults.classroom import Classroom
from tests.faults.host import Host
from tests.faults.stage import Stage

CONNECTIONS_SQL = """
	SELECT p.ID, p.HOST, COALESCE(t.trx_rows_modified, 0), p.ID IN ({locks}) FROM information_schema.PROCESSLIST p
	LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID"""
STORED_SQL = "SELECT submission_id FROM `tabPlayer Review Log` WHERE submission_id IN %s"
STAGING_SQL, STAGING = "SHOW TABLES LIKE %s", "to\\_archive\\_%"


class Moments:
	"""Each method returns what goes on at the moment: connections, claims, submissions or tables, by their names."""

	def __init__(self, stage: Stage, host: Host, room: Classroom, season: str) -> None:
		self.stage, self.host, self.room, self.season = stage, host, room, season
		self.learners = [device.learner.name for device in room.far]
		((database,),) = stage.sql("SELECT DATABASE()")
		self.lock_keys = ["memora:" + row_names.digest(database, learner) for learner in self.learners]

	def submitting(self) -> set[int]:
		"""Connections of the host that hold a learner's lock, and have written answers that are not committed."""
		return {id for id, rows, is_holder in self._connections() if is_holder and rows}

	def serving(self) -> set[int]:
		"""Connections of the host that hold a learner's lock, and have nothing to commit."""
		return {id for id, rows, is_holder in self._connections() if is_holder and not rows}

	def folding(self) -> set[int]:
		"""Connections of the host that hold no learner's lock, and have written what is not committed."""
		return {id for id, rows, is_holder in self._connections() if rows and not is_holder}

	def loading(self) -> set[str]:
		"""Claims of those who load a schedule of a learner of the host."""
		with self.stage.redis("redis-srs") as client:
			markers = client.mget([self._keys(learner)[1] for learner in self.learners])
		return {marker for marker in markers if marker and marker.startswith("loading:")}

	def asking(self) -> set[str]:
		"""Submissions whose devices wait for the reply of the host."""
		sent, told = list(self.room.ledger.sent.items()), set(self.room.ledger.acknowledged)
		return {s for s, (learner, _answers) in sent if learner in self.learners and s not in told}

	def storing(self) -> set[str]:
		"""Submissions to the host that are stored, while their devices wait for the reply."""
		stored = {s for (s,) in self.stage.sql(STORED_SQL, [*self.asking(), ""])}
		return stored & self.asking()

	def taking(self) -> set[str]:
		"""Jobs that a worker has taken from the queue, and has not begun. Waits a moment for one."""
		with self.stage.redis("redis-queue") as queue:
			for _attempt in range(20):
				lists = list(queue.scan_iter("rq:queue:*:intermediate"))
				if jobs := {job for name in lists for job in queue.lrange(name, 0, -1)}:
					break
				time.sleep(0.05)
		return jobs

	def archiving(self) -> set[str]:
		"""Tables with the rows of a season that are on their way to the archive."""
		return {name for (name,) in self.stage.sql(STAGING_SQL, STAGING)}

	def forget_schedules(self) -> None:
		"""Takes the schedules of the host's learners out of Redis, so that they are loaded at the next read."""
		with self.stage.redis("redis-srs") as client:
			client.delete(*(key for learner in self.learners for key in self._keys(learner)))

	def end_connections(self) -> None:
		"""Has MariaDB end all connections of the host, as it does when a host has been silent for long."""
		for id, _rows, _is_holder in self._connections():
			self.stage.as_root(f"KILL {id};")

	def _keys(self, learner: str) -> tuple[str, str]:
		key = f"srs:{learner}:{quote(self.season, safe='')}"
		return key, f"{{{key}}}:loaded"

	def _connections(self) -> list[tuple[int, int, bool]]:
		"""(id, rows written and not committed, whether it holds the lock of one of the learners) of the host's connections."""
		locks = ", ".join(["COALESCE(IS_USED_LOCK(%s), 0)"] * len(self.lock_keys))
		rows = self.stage.ask_root(CONNECTIONS_SQL.format(locks=locks), *self.lock_keys)
		its_ports = {str(port) for port in self.host.database_ports()}
		return [
			(id, int(written), bool(is_holder))
			for id, address, written, is_holder in rows
			if address.rpartition(":")[2] in its_ports
		]
