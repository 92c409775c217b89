"""Gives ids to learners whose rows are from before learners had ids. The patch give_learners_ids runs this once.

It goes through the learners in the order of their ids, some at a time. One transaction makes their documents and rewrites
their rows. A learner who comes before it gets to her is given her id by the request (store/learners), together with her
rows. So whoever has an id reads and answers as ever, and no row waits longer than for one transaction. The next run goes
on where a dead one stopped.

Some rows are in a wrong place: before learners had ids, the rename of a User changed the column `player`, but not the
names of the rows, and whoever got the old address then wrote among them. Such rows are moved to whose they are, and
the journal tells what each of them knows.

A second pass finds what processes of the earlier version wrote meanwhile. Later migrations look again, at the two small
tables in which each answer leaves a row.
"""

from collections import Counter
from functools import partial
from typing import NamedTuple

import frappe
from frappe import _
from frappe.utils import update_progress_bar

from memora.exceptions import PartitionError
from memora.services import alerts, site_time
from memora.services.cache.schedules import Schedules
from memora.services.folding import folds
from memora.services.folding.folds import with_retries
from memora.services.learning import learners
from memora.services.operations.replay import replay_season
from memora.services.store import database, layout, old_learners, partitions, seasons, tables
from memora.services.store.old_learners import Owner
from memora.services.store.row_names import digest, is_learner_id

LOCK = "learner_ids"
PASSES = "first", "second"


class Sorted(NamedTuple):
	"""The owners of a range: whose rows are where they belong, {player: id}, and the others."""

	plain: dict[str, str]
	tangled: list[Owner]


def give_all() -> None:
	"""Gives every learner her id. Commits. Raises PartitionError while another run is going on, or a table has no partitions."""
	with database.named_lock(LOCK, wait_seconds=0) as is_mine:
		if not is_mine:
			frappe.throw(_("Another run of this patch is going on."), PartitionError)
		for doctype in filter(layout.is_unpartitioned, tables.INDEXES):  # whose names tell of nobody
			partitions.refuse_unpartitioned(doctype)
		frappe.db.commit()  # DDL on another connection would wait for this one
		old_learners.begin()
		with database.read_committed():
			rows = sum(_pass(number) for number in PASSES)
			_small_tables()
			_forget_addresses()
		old_learners.end()
	print(f"Memora: {rows} rows of learners now carry their ids.")
	if not Schedules().clear_of_users():
		print("Memora: Redis does not answer. Schedules under e-mail addresses stay until they expire.")


def give_late() -> int:
	"""Gives ids to rows that a process of the earlier version has written since; returns to how many learners. Commits."""
	if old_learners.is_pending():
		return 0
	with database.read_committed():
		found = old_learners.find_late()
		for learner in found:
			with_retries(partial(_convert, old_learners.list_tables(), learner, learner + "g"))
		if found:
			_small_tables()
	return len(found)


def _pass(number: str) -> int:
	tables, rows = old_learners.list_tables(), 0
	while bounds := old_learners.next_range(tables, number):
		rows += with_retries(partial(_convert, tables, *bounds, number))
		share = 1 if bounds[1] == "g" else int(bounds[1][:16], 16) / 16**16
		update_progress_bar(f"Learners, {number} pass", int(100 * share) - 1, 100)
	print()
	return rows


def _convert(tables: list[str], first: str, end: str, number: str | None = None) -> int:
	"""Converts the rows of a range of ids; returns how many that were where they belong."""
	owners = _sort(old_learners.read_owners(tables, first, end))
	with database.transaction():
		ids = old_learners.identify(owners.plain, site_time.naive_now())
		plain = {player for player, learner in ids.items() if learner == owners.plain[player]}
		changed = old_learners.set_players(tables, first, end, plain)
		tangled = [*owners.tangled, *(Owner(owners.plain[player], player) for player in ids.keys() - plain)]
		if number and not tangled:
			old_learners.advance(number, end)
	if tangled:
		_untangle(tables, tangled)
		if number:
			with database.transaction():
				old_learners.advance(number, end)
	return changed


def _sort(owners: set[Owner]) -> Sorted:
	"""Tells rows whose place is right from the others. A player counts as a whole."""
	players_of = Counter(owner.id for owner in owners)
	wrong = {
		o.player
		for o in owners
		if players_of[o.id] > 1 or o.id != digest(o.player) or is_learner_id(o.player)
	}
	plain = {o.player: o.id for o in owners if o.player not in wrong}
	# first who is where she belongs: else her id would lead to one who is not
	return Sorted(plain, sorted((o for o in owners if o.player in wrong), key=_is_elsewhere))


def _is_elsewhere(owner: Owner) -> tuple[bool, Owner]:
	return owner.id != digest(owner.player), owner


def _untangle(tables: list[str], owners: list[Owner]) -> None:
	"""Moves rows to whose they are, and writes what the journal says of each of those who shared a place."""
	concerned = set()
	for owner in owners:
		learner = _learner_of(owner.player)
		if not learner:
			print(f"Memora: rows of a learner {owner.player} whom nobody knows stay as they are.")
			continue
		if learner != owner.id:
			with database.learner_lock(learner), database.transaction():
				old_learners.move_rows(tables, owner, learner, site_time.naive_now())
		concerned |= {learner, owner.id}
	for learner in sorted(concerned):
		with database.learner_lock(learner):
			_replay(learner)
	if concerned:
		print(
			f"Memora: rows were out of place, and are with their learners now: {', '.join(sorted(concerned))}."
		)


def _learner_of(player: str) -> str | None:
	"""Returns a player's id. If it is new, it comes with the rows whose names begin with it."""
	if is_learner_id(player):
		return learners.look_up(player)
	with database.transaction():
		learner = old_learners.identify([player], site_time.naive_now())[player]
		old_learners.adopt(learner, player)
	return learner


def _replay(learner: str) -> None:
	"""Has a learner's records say what her journal says. Before, what waits is folded: it may tell what somebody else knew.

	The caller holds her lock.
	"""
	folds.fold_or_park(old_learners.get_waiting(learner))
	for season in seasons.get_unarchived():
		replay_season(season, learner, repair=True)
		Schedules().clear_learner(learner, season)


def _small_tables() -> None:
	old_learners.set_players_of_days()
	old_learners.set_importers(site_time.naive_now())


@alerts.in_site_language()
def _forget_addresses() -> None:
	"""Deletes what names learners by address: who has read in Safe Mode, prepared reports, alerts of a reconciliation."""
	old_learners.forget_admissions()
	reports = frappe.get_all("Report", {"module": "Memora"}, pluck="name")
	for name in frappe.get_all("Prepared Report", {"report_name": ("in", ["", *reports])}, pluck="name"):
		frappe.delete_doc("Prepared Report", name, ignore_permissions=True, force=True)
	subject = _("The cache disagreed with the database")
	frappe.db.delete("Notification Log", {"subject": subject})
	frappe.db.delete("Error Log", {"method": subject})
	frappe.db.commit()  # the pass before has committed: a later patch that fails brings no address back
