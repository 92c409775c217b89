"""Which changes of what is asked go along with a read, and which are known since a version."""

from itertools import product

import pytest

from memora.services.store import question_status
from memora.services.store.question_status import Changes

MOST = 3
# every row of five changes, some of which were noted together, after a version that is forgotten
HISTORIES = [
	[(version, f"q{n}", is_live) for n, (version, is_live) in enumerate(zip(versions, lives, strict=True))]
	for versions in ((3, 4, 6, 7, 9), (3, 3, 6, 6, 6))
	for lives in product((True, False), repeat=5)
]


@pytest.mark.parametrize("how_many", range(6))
def test_the_newest_withdrawals_go_along_as_far_as_nothing_else_has_changed(monkeypatch, how_many):
	monkeypatch.setattr(question_status, "MOST_SENT", MOST)
	for history in HISTORIES:
		entries = history[:how_many]
		found = next(n for n in range(6) if n == MOST or n == how_many or entries[how_many - 1 - n][2])
		rest, sent = entries[: how_many - found], entries[how_many - found :]
		first, parts = Changes(9, 2, entries).withdrawals
		assert first == (rest[-1][0] if rest else 2)
		assert list(zip(parts[::2], parts[1::2], strict=True)) == [
			(version, name) for version, name, _ in sent
		]


def test_the_changes_since_a_version_unless_some_are_forgotten():
	for history in HISTORIES:
		changes = Changes(9, 2, history)
		assert changes.since(1) is None
		for version in range(2, 11):
			assert changes.since(version) == [entry for entry in history if entry[0] > version]
