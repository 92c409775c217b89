"""The seeds' door to partitions by season; the room behind it is store, above all store/partitions."""

from memora.services.store import partitions, tables
from memora.services.store.tables import Partition


def create_partition(season: str) -> None:
	"""Makes a season's partitions in tracker, journal and archive; see store/partitions.create_partition."""
	partitions.create_partition(season)


def drop_partition(season: str) -> None:
	"""Drops a season's partitions from tracker, journal and archive; see store/partitions.drop_partition. Commits."""
	partitions.drop_partition(season)


def list_partitions(doctype: str) -> list[Partition]:
	"""Returns the partitions of Player Memory Tracker, Player Review Log or Archived Memory Tracker."""
	return tables.list_partitions(doctype)


def heal_partitions() -> list[str]:
	"""Makes the partitions that seasons lack, and returns the seasons that changed. The scheduler calls this hourly."""
	return partitions.heal_partitions()
