"""The admissions of Safe Mode, at the very limits of what counts. MariaDB's clock stands still meanwhile."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import frappe
import pytest

from memora.services.store import admissions
from tests.integration import state
from tests.integration.factories import learner_id

NOW = datetime(2030, 1, 2, 3, 4, 5)  # UTC
HER, OTHER = learner_id("her"), learner_id("other")
MICROSECOND = 0.000001


@pytest.fixture(autouse=True)
def standing_clock(clean) -> Iterator[None]:
	frappe.db.sql("SET SESSION timestamp = %s", (int(NOW.replace(tzinfo=timezone.utc).timestamp()),))
	yield
	frappe.db.sql("SET SESSION timestamp = DEFAULT")


def admitted(*rows: tuple[str, float]) -> None:
	"""Rows (player, how many seconds ago)."""
	for player, seconds in rows:
		frappe.db.sql(
			"INSERT INTO `tabSafe Mode Admission` (name, player, admitted_at) VALUES (%s, %s, %s)",
			(frappe.generate_hash(length=20), player, NOW - timedelta(seconds=seconds)),
		)
	frappe.db.commit()


def stored() -> list[tuple[str, float]]:
	rows = [
		(row.player, (NOW - row.admitted_at).total_seconds()) for row in state.rows("Safe Mode Admission")
	]
	return sorted(rows, key=lambda row: row[1])


@pytest.mark.parametrize(
	("pause", "window", "rows", "expected"),
	[
		(10, 60, [], (0, None, None)),
		(10, 60, [(OTHER, 60), (OTHER, 59.999), (OTHER, 5)], (2, 0.001, None)),
		(60, 10, [(OTHER, 10), (OTHER, 9), (OTHER, 2)], (2, 1, None)),
		(60, 10, [(HER, 59), (OTHER, 1)], (1, 9, 1)),
		(60, 10, [(HER, 60)], (0, None, None)),
		(60, 10, [(HER, 61), (OTHER, 59)], (0, None, None)),
		(10, 60, [(HER, 30), (HER, 4), (OTHER, 1)], (3, 30, 6)),
		(10, 60, [(HER, 30), (OTHER, 4)], (2, 30, -20)),
		(10, 60, [(HER, 0), (OTHER, 0)], (2, 60, 10)),
		(10, 60, [(HER, -MICROSECOND), (OTHER, -3600), (OTHER, 59)], (1, 1, None)),
	],
)
def test_what_counts(pause, window, rows, expected):
	admitted(*rows)
	found = admissions.look(HER, pause, window)
	assert found == expected


def test_what_counts_no_more_goes_some_rows_at_a_time():
	old, young = [(OTHER, 60)] * (admissions.EXPIRED_ROWS + 2), [(OTHER, 60 - MICROSECOND), (OTHER, -60)]
	admitted(*old, *young)
	admissions.admit(HER, 60)
	assert stored() == [young[1], (HER, 0), young[0], *old[:2]]
	admissions.admit(HER, 60)
	assert stored() == [young[1], (HER, 0), (HER, 0), young[0]]
