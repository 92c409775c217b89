"""Partitions tracker, journal and archive of a site that has rows from before these tables were partitioned.

store/conversion says how a table is converted without losing a row. old_rows says what becomes of a row.
"""

import frappe
from frappe import _

from memora.exceptions import PartitionError
from memora.patches.v1_0.old_rows import RULES
from memora.services.cache.schedules import Schedules
from memora.services.store import conversion, database, layout, old_seasons, partitions
from memora.services.store.tables import INDEXES, list_partitions


def execute() -> None:
	"""Partitions tracker, journal and archive by season. Needs room for a second copy of each table."""
	with database.named_lock("setup_partitioning", wait_seconds=0) as is_mine:
		if not is_mine:
			frappe.throw(_("Another run of this patch is going on."), PartitionError)
		frappe.db.commit()  # DDL on another connection would wait for this one
		layout.ensure_layout()
		conversion.convert_all(RULES, _clear_schedules)
		found = {p["season"] for doctype in INDEXES for p in list_partitions(doctype)} - {""}
		old_seasons.make_documents(sorted(found))
		partitions.heal_partitions()


def _clear_schedules(seasons: set[str]) -> None:
	for season in seasons:
		Schedules().clear_season(season)
