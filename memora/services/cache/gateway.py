"""Asks the schedules' Redis, and decides what happens when it fails: this is the outage policy.

A read that fails raises Unavailable; its caller then reads MariaDB (Safe Mode). A write that fails is noted in
MariaDB with the learner whose schedule lacks it (store/outdated_schedules), and whoever reaches Redis drops that schedule:
so a host that is cut off costs nobody else anything. Only if MariaDB did not take the note, either, does the process that
missed the write count an outage as soon as it reaches Redis. From then on no schedule from before is believed: each is
loaded again from MariaDB when its learner comes. Keys that belong to another site are left alone, as if Redis were gone.
"""

import math
from collections.abc import Sequence
from typing import Any

import frappe
import redis
from redis.exceptions import ResponseError

from memora.services import site_time
from memora.services.cache import connections, ownership, rights, scripts
from memora.services.cache.breaker import Unavailable
from memora.services.cache.keys import ScheduleKeys
from memora.services.cache.ownership import Database, KeysOfAnother, Owner
from memora.services.cache.scripts import Call
from memora.services.cache.server import Action, server_of
from memora.services.settings import get_settings
from memora.services.store import database as mariadb
from memora.services.store import failures, outdated_schedules, question_status, row_names

DATABASE_ADDRESS = ("db_host", "db_port", "db_socket", "db_name")


class Gateway:
	"""The way of one site's commands to the schedules' Redis."""

	def __init__(self) -> None:
		self.keys = ScheduleKeys(frappe.conf.get("srs_redis_namespace"))
		self.server = server_of(frappe.local.site, connections.place(frappe.conf), self.keys.prefix)

	def is_available(self) -> bool:
		"""Says whether Redis takes writes. A Redis that fails is asked at most once per breaker period."""
		try:
			self.ask(self._probe)
		except Unavailable:
			return False
		return True

	def ask(self, action: Action, keys: Sequence[str] = ()) -> Any:
		"""Runs action(client) and returns its result; raises Unavailable, also if the keys are another's.

		If this process has missed a write and could not note it, the outage is counted first. `keys` are a learner's keys:
		if a key holds a value of another type, which is no schedule, all keys are deleted and the action is run once more.
		"""

		def run(client: redis.Redis) -> Any:
			self.epoch(client)  # nothing is asked of another's keys
			if self.server.has_missed_writes:
				self.count_outage(client)
			try:
				return action(client)
			except ResponseError as error:
				if not keys or "WRONGTYPE" not in str(error):
					raise
				client.delete(*keys)
				return action(client)

		self.database()  # before Redis: a MariaDB that fails is no fault of that server
		return self.server.run(*(rights.explaining(self.keys, step) for step in (run, self._probe)))

	def try_write(
		self,
		action: Action,
		keys: Sequence[str] = (),
		missed: Sequence[tuple[str, str]] = (),
		is_folded_later: bool = False,
	) -> bool:
		"""Runs a write; says whether Redis took it. Never raises because of Redis.

		`missed` are the (learner, season) whose schedules lack something if the write fails; they are noted as outdated. A note
		that fails makes all schedules stale, unless a fold will look at these schedules.
		"""
		try:
			self.ask(action, keys)
		except Unavailable:
			if missed and not self._note_missed(missed) and not is_folded_later:
				self.server.has_missed_writes = True
			return False
		return True

	def epoch(self, client: redis.Redis) -> str:
		"""Returns the epoch, at most EPOCH_SECONDS old. Raises KeysOfAnother.

		An older epoch does no harm: a schedule that is loaded under it is loaded again at the next read.
		"""
		return self.server.epoch or self.claim(client)

	def claim(self, client: redis.Redis) -> str:
		"""Claims the keys, and returns the epoch. Raises KeysOfAnother."""
		return self.accept_epoch(scripts.run_scripts(client, [self.epoch_call()])[0])

	def epoch_call(self) -> Call:
		"""Returns the call that reads the epoch and renews this site's claim; accept_epoch takes its answer."""
		claim = ownership.claim(self.database(), frappe.local.site, self.server.owned_by)
		return Call(scripts.EPOCH, [self.keys.generation, self.keys.owner], claim)

	def accept_epoch(self, answer: list[str]) -> str:
		"""Returns the epoch of an answer, and remembers it. Raises KeysOfAnother."""
		epoch, *owner = answer
		if not epoch:
			raise KeysOfAnother(Owner(*owner))
		own = self.database()
		self.server.owned_by = own.server
		return self.server.remember_epoch(f"{epoch}.{own.digest}")

	def database(self) -> Database:
		"""Returns this site's database, at most EPOCH_SECONDS old; while MariaDB can't tell, as it was known last.

		An older one does no harm: without MariaDB nothing is loaded or shown, and a schedule of another generation that
		an answer finds is dropped. Raises Unavailable if MariaDB could not tell yet.
		"""
		address = tuple(frappe.conf.get(name) for name in DATABASE_ADDRESS)
		if known := self.server.database_at(address):
			return known
		try:
			found, zone = mariadb.get_identity(), get_settings().time_zone
		except failures.ERRORS as error:
			if known := self.server.database_at(address, within_seconds=math.inf):
				return known
			raise Unavailable(f"MariaDB can't say which database this is: {error}") from error
		if not found.born:
			raise Unavailable("a backup is being restored over the database")
		digest = row_names.digest(found.name, found.server, str(found.born), zone)
		if self.server.is_another(digest):
			question_status.forget_changes()  # a backup counts its versions on from where it was
		own = Database(found.name, found.server, digest, found.is_read_only)
		return self.server.remember_database(address, own)

	def _probe(self, client: redis.Redis) -> None:
		"""Makes a write that changes nothing.

		A Redis that is full or read-only answers PING, but refuses this write. On a cluster this asks every
		node. Otherwise the breaker would close while one node is dead, and that node's learners would open
		the breaker again for everybody.
		"""
		self.epoch(client)
		pipeline = client.pipeline(transaction=False)
		for key in connections.a_key_on_each(client, self.keys.generation):
			pipeline.setrange(key, 0, "")
		pipeline.execute()

	def _note_missed(self, schedules: Sequence[tuple[str, str]]) -> bool:
		try:
			outdated_schedules.note_at_once(schedules, site_time.naive_now())
		except failures.ERRORS as error:
			frappe.logger("memora").error(f"a missed write could not be noted: {error}")
			return False
		return True

	def count_outage(self, client: redis.Redis) -> None:
		"""Counts an outage: from now on no schedule from before the outage is believed."""
		self.server.has_missed_writes = False  # first: what another thread misses meanwhile stays noted
		try:
			self.accept_epoch([scripts.run_script(client, scripts.DECLARE_STALE, [self.keys.generation])])
		except BaseException:  # after any error: the outage is not counted yet
			self.server.has_missed_writes = True
			raise
