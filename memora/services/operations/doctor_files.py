"""The doctor's check of how many files MariaDB keeps open. Yields (problem, how to mend it)."""

from collections.abc import Iterator

from frappe import _

from memora.services.store import surroundings, tables


def open_files() -> Iterator[tuple[str, str]]:
	files, limit = tables.count_files(), surroundings.get_open_files()
	if files > limit:
		yield (
			_(
				"The site's tables, with a partition of three tables for each season, are {0} files. MariaDB keeps {1} open."
			).format(files, limit),
			_(
				"Set innodb_open_files in MariaDB's configuration to more than {0}, and restart MariaDB."
			).format(files),
		)
