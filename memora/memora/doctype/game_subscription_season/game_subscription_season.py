import json
from contextlib import suppress
from datetime import datetime
from functools import partial

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import getdate

from memora.exceptions import InvalidSeason, PartitionError, SeasonStateError, quoting
from memora.services import site_time
from memora.services.cache import incidents, settling
from memora.services.cache.breaker import Unavailable
from memora.services.figures import due_forecast
from memora.services.learning.plain_names import require_plain_name
from memora.services.operations import calendar_changes
from memora.services.store import database, figure_tables, limits, partitions, seasons, swap, tables
from memora.services.store.seasons import canonical_name

# Only services write these fields
SYSTEM_FIELDS = (
	"closed_at",
	"partition_created",
	"archive_started_at",
	"archive_status",
	"archive_step",
	"archived_at",
	"archived_records",
	"eligible_for_deletion",
	"archive_flags",
	"jobs",
	"date_moves",
)


class GameSubscriptionSeason(Document):
	def before_naming(self) -> None:
		self.season_name: str = canonical_name(self.season_name)
		if not self.season_name:
			frappe.throw(_("A season needs a name."), InvalidSeason)
		require_plain_name(self.season_name, InvalidSeason)

	def before_insert(self) -> None:
		if clash := frappe.db.get_value(self.doctype, {"name": self.season_name}):
			frappe.throw(
				quoting(
					_(
						"There is a season {0} already. Names must differ in more than letter case or accents."
					),
					clash,
				),
				frappe.DuplicateEntryError,
			)

	def before_validate(self) -> None:
		"""Makes a new season's partitions before anything is written, and begins the transaction anew.

		InnoDB refuses a transaction to read a partition that is younger than its view of the tables (error 1412). After a
		write it is too late for a new view; then the season's rows can be read from the next transaction on.
		"""
		is_complete = self.start_date and self.end_date
		if self.is_new() and is_complete and database.takes_commits() and not frappe.db.transaction_writes:
			self.validate()
			database.new_snapshot()
			self.flags.has_partitions = self._make_partitions()
			database.new_snapshot()

	def validate(self) -> None:
		if not self.is_new():  # a new season's partitions may take longer
			limits.rest_briefly()
		self._keep_system_fields()
		self._note_closing()
		self._check_dates()
		self._follow_memory()
		if self.is_active:
			self._check_may_be_active()
		self.flags.used_redis = seasons.uses_redis()

	def after_insert(self) -> None:
		has_partitions = self.flags.has_partitions
		if has_partitions is None:
			has_partitions = self._make_partitions()
		if not has_partitions:
			self._say_that_partitions_are_missing()
			return
		self.partition_created = 1
		# db_set would take the new row for the state before, and the timeline would tell of changes that nobody made
		frappe.db.set_value(self.doctype, self.name, "partition_created", 1, update_modified=False)

	def _make_partitions(self) -> bool:
		"""Says whether the new season has its partitions now. An active season needs them: then raises PartitionError."""
		try:
			partitions.create_partition(self.name)
		except PartitionError:
			if self.is_active:
				raise
			return False
		return True

	def _say_that_partitions_are_missing(self) -> None:
		frappe.log_error(
			title="Season without partitions", reference_doctype=self.doctype, reference_name=self.name
		)
		frappe.msgprint(_("The season's partitions could not be made yet."), indicator="orange", alert=True)

	@frappe.whitelist(methods=["POST"])
	def create_partitions(self) -> None:
		"""Makes the season's missing partitions, for a button of the form. Raises UnknownSeason, PartitionError."""
		self.check_permission("write")
		partitions.heal_season(seasons.get_season(self.name).name)  # a caller may have made this document up

	def on_trash(self) -> None:
		for doctype in tables.ANY_ROW_SQL:
			if tables.season_has_rows(doctype, self.name):
				self._refuse_deletion(_("has records in {0}").format(_(doctype)))
		if tables.table_has_rows(swap.find_staging(self.name)):
			self._refuse_deletion(_("has records on their way to the archive"))
		if self.archived_records:
			self._refuse_deletion(_("once had records and notes who deleted them"))

	def _refuse_deletion(self, reason: str) -> None:
		frappe.throw(
			quoting(_("Season {0} {1}, so it can't be deleted."), self.name, reason),
			SeasonStateError,
		)

	def after_delete(self) -> None:
		figure_tables.forget_season(self.name)
		due_forecast.forget_forecast(self.name)
		# after the commit, because this transaction has read the tables and a drop would wait for it
		# if that fails, the partitions are empty, and a new season of this name will use them
		database.after_commit(partial(partitions.drop_partition, self.name))

	def _keep_system_fields(self) -> None:
		"""Keeps SYSTEM_FIELDS as the database has them, whatever the caller sent or read. The row is locked by now."""
		stored = self.get_doc_before_save()
		for field in SYSTEM_FIELDS:
			self.set(field, stored.get(field) if stored else None)

	def _note_closing(self) -> None:
		stored = self.get_doc_before_save()
		if self.is_active:
			self.closed_at: datetime | None = None
		elif stored and stored.is_active:
			self.closed_at = site_time.naive_now()

	def _follow_memory(self) -> None:
		"""Notes the seasons whose memories go along, the nearest first. Raises InvalidSeason for a circle."""
		earlier: list[str] = []
		name = self.carries_on_from
		while name:
			if name == self.name or name in earlier:
				frappe.throw(
					quoting(
						_("Season {0} can't carry on from {1}, which carries on from it."), self.name, name
					),
					InvalidSeason,
				)
			earlier.append(name)
			name = frappe.db.get_value(self.doctype, name, "carries_on_from")
		self.earlier_seasons = json.dumps(earlier[: seasons.MOST_EARLIER]) if earlier else None

	def on_update(self) -> None:
		before = self.get_doc_before_save()
		if before and before.earlier_seasons != self.earlier_seasons:
			seasons.pass_on_earlier(self.name)
		if before and not self.archive_started_at:
			old, new = getdate(before.end_date), getdate(self.end_date)
			if old != new:
				calendar_changes.follow_end(self.name, old, new)
		self._follow_redis(before)

	def _follow_redis(self, before: Document | None) -> None:
		"""Has no schedule believed from before this season began to use Redis. Ends the incident if no season does any more."""
		if before and self.enable_redis and not before.enable_redis:
			try:
				settling.declare_stale()
			except Unavailable as error:
				frappe.throw(
					quoting(
						_("Redis can't be reached, so season {0} can't begin to use it: {1}"),
						self.name,
						error,
					),
					SeasonStateError,
				)
			frappe.db.after_commit.add(self._declare_stale)  # what was answered meanwhile went past Redis
		elif self.flags.used_redis and not seasons.uses_redis():
			frappe.db.after_commit.add(incidents.close_incidents)

	def _declare_stale(self) -> None:
		with suppress(Unavailable):  # it was there a moment ago, and has declared it before
			settling.declare_stale()

	def _check_dates(self) -> None:
		if frappe.utils.getdate(self.end_date) < frappe.utils.getdate(self.start_date):
			frappe.throw(
				quoting(
					_("A season can't end ({0}) before it starts ({1})."), self.end_date, self.start_date
				),
				InvalidSeason,
			)

	def _check_may_be_active(self) -> None:
		self.require_openable()
		others = {"is_active": 1, "name": ("!=", self.name)}
		if other := frappe.db.get_value(self.doctype, others, for_update=True):
			frappe.throw(
				quoting(
					_("Season {0} is active. Only one season can be active. Deactivate {0} first."), other
				),
				SeasonStateError,
			)

	def require_openable(self) -> None:
		"""Raises SeasonStateError or InvalidSeason if the season can't be active, whether or not another one is."""
		self._check_dates()
		if self.archive_started_at:
			frappe.throw(
				quoting(_("Season {0} is being archived or is archived, so it can't be active."), self.name),
				SeasonStateError,
			)
		if self.auto_archive:
			frappe.throw(
				_("An active season can't be archived automatically. Untick Auto Archive or Is Active."),
				SeasonStateError,
			)
		if not self.is_new() and not self.partition_created:
			frappe.throw(
				quoting(_("Season {0} has no partitions yet, so it can't be active."), self.name),
				SeasonStateError,
			)
