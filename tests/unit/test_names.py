"""Names that everything hangs on: seasons' spelling, primary keys, partitions."""

import json
import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memora.services import memory_store, partition_manager
from memora.services.memory_store import MemoryRecord
from memora.services.seasons import canonical_name

TEXTS = st.text(min_size=1, max_size=140)


@pytest.mark.parametrize(
	("given_name", "name"),
	[
		("2024-2025", "2024-2025"),
		("SEASON-2026", "SEASON-2026"),
		("seas-a ", "seas-a"),
		("  a \t b\u00a0c\n", "a b c"),
		("Cafe\u0301", "Caf\u00e9"),
		("Ångström", "Ångström"),
		("موسم ٢٠٢٥", "موسم ٢٠٢٥"),
		("", ""),
		(None, ""),
		("\u3000\u2003", ""),
	],
)
def test_canonical_season_names(given_name, name):
	assert canonical_name(given_name) == name


def test_canonical_names_keep_their_case():
	assert canonical_name("Seas-A") != canonical_name("seas-a")


@given(st.text())
def test_a_canonical_name_is_its_own(name):
	assert canonical_name(canonical_name(name)) == canonical_name(name)


def test_golden_names():
	"""Names are stored: changing how they are made would part learners from their rows."""
	player, season, question = "ada@example.com", "2024-2025", "q-123"
	assert memory_store.tracker_name(player, season, question) == "673b3797ca651be7398332fecf413ec8"
	assert memory_store.submission_key(player, season, "s-1") == "673b3797ca651be726c785de799f022a"
	assert (
		memory_store.journal_name(player, season, "s-1", question)
		== "673b3797ca651be726c785de799f022a067606e794de50cb"
	)


def test_a_learners_names_begin_alike():
	names = [memory_store.tracker_name("ada@example.com", s, q) for s in ("a", "b") for q in ("1", "2")]
	assert len({name[:16] for name in names}) == 1
	assert len(set(names)) == 4
	assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)
	assert memory_store.tracker_name("bob@example.com", "a", "1")[:16] != names[0][:16]


def test_the_names_of_a_submissions_journal_begin_with_its_key():
	key = memory_store.submission_key("ada@example.com", "s", "1")
	assert memory_store.journal_name("ada@example.com", "s", "1", "q").startswith(key)
	assert len(key) == 32


@pytest.mark.parametrize(
	("one", "other"),
	[
		(("ab", "c"), ("a", "bc")),
		(("a", ""), ("", "a")),
		(("a:b", "c"), ("a", "b:c")),
		(("A", "b"), ("a", "b")),
	],
)
def test_season_and_question_do_not_run_into_each_other(one, other):
	assert memory_store.tracker_name("p", *one) != memory_store.tracker_name("p", *other)


RECORD = MemoryRecord(
	question_id="q-1",
	subject="Géographie",
	topic=None,
	stability=2.3065,
	difficulty=2.118104,
	state="Review",
	reps=3,
	lapses=1,
	next_review_date=datetime(2025, 3, 30, 4),
	last_review_date=datetime(2025, 3, 28, 12, 0, 0, 123456),
	creation=datetime(2025, 3, 1, 9, 30),
)


def test_a_record_survives_the_outbox():
	assert MemoryRecord.from_json(RECORD.as_json()) == RECORD


@given(
	st.builds(
		MemoryRecord,
		question_id=TEXTS,
		stability=st.floats(1e-6, 1e6),
		difficulty=st.floats(1, 10),
		reps=st.integers(0, 10**6),
	)
)
def test_any_record_survives_the_outbox_as_json(record):
	assert MemoryRecord.from_json(json.loads(json.dumps(record.as_json()))) == record


def test_of_two_records_the_higher_count_is_newer_then_the_later_answer():
	later = MemoryRecord(**{**vars(RECORD), "last_review_date": datetime(2025, 3, 29)})
	again = MemoryRecord(**{**vars(RECORD), "reps": 4, "last_review_date": datetime(2024, 3, 29)})
	assert RECORD.age < later.age < again.age


@pytest.mark.parametrize(
	"season", ["2024-2025", "SEASON-2026", "Été '25 `x`", "موسم", "", "x" * 140, "%s; --"]
)
def test_a_partition_name_is_a_plain_identifier_of_at_most_64_characters(season):
	assert re.fullmatch(r"p_[a-z0-9_]{1,62}", partition_manager.partition_name(season))


def test_seasons_that_read_alike_have_partitions_of_their_own():
	seasons = ["a-b", "a_b", "a b", "A-B", "a-b ", "x" * 139, "x" * 140, "موسم", "مواسم"]
	assert len({partition_manager.partition_name(season) for season in seasons}) == len(seasons)
