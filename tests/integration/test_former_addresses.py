"""Whose an address was at a moment: of several who have had it, and beside others."""

from datetime import datetime, timedelta

import frappe
import pytest

from memora.services.store import former_addresses
from tests.integration import state
from tests.integration.factories import learner_id

ADDRESS, OTHERS_ADDRESS = "once@learners.example", "other@learners.example"
FIRST, SECOND, OTHER, INTO = (learner_id(name) for name in ("first", "second", "other", "into"))
LOST = datetime(2026, 5, 4, 10)  # by the first; by the second two hours later
HOURS, MICROSECOND = timedelta(hours=2), timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def remembered(clean) -> None:
	former_addresses.remember(ADDRESS, SECOND, LOST + HOURS)
	former_addresses.remember(OTHERS_ADDRESS, OTHER, LOST + HOURS / 2)
	former_addresses.remember(f" {ADDRESS.upper()}", FIRST, LOST)


@pytest.mark.parametrize(
	("moment", "holder"),
	[
		(LOST - HOURS, FIRST),
		(LOST, FIRST),
		(LOST + MICROSECOND, SECOND),
		(LOST + HOURS, SECOND),
		(LOST + HOURS + MICROSECOND, None),
	],
)
def test_the_next_to_lose_it_had_it(moment, holder):
	assert former_addresses.get_holder(ADDRESS.title(), moment) == holder
	assert former_addresses.get_holder("nobody@learners.example", moment) is None


def test_the_last_to_lose_it():
	addresses = (ADDRESS, OTHERS_ADDRESS, "nobody@learners.example")
	assert [former_addresses.get_last_holder(address) for address in addresses] == [SECOND, OTHER, None]


def test_one_learners_are_handed_over_or_forgotten_and_no_others():
	former_addresses.hand_over(SECOND, INTO)
	assert former_addresses.get_holder(ADDRESS, LOST) == FIRST
	assert former_addresses.get_last_holder(ADDRESS) == INTO
	former_addresses.forget_learner(FIRST)
	assert former_addresses.get_holder(ADDRESS, LOST) == INTO
	assert former_addresses.get_last_holder(OTHERS_ADDRESS) == OTHER


def test_no_address_is_stored():
	frappe.db.commit()
	rows = state.rows("Memora Former Address")
	assert len({row.name for row in rows}) == 3
	assert ADDRESS not in str(rows).lower()
