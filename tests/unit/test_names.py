"""Names that everything hangs on: seasons' spelling, primary keys, partitions."""

import json
import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memora.services.store import row_names, tables
from memora.services.store.records import (
	UNVERSIONED_FIELDS,
	MemoryRecord,
	overlay,
	pack_records,
	unpack_records,
)
from memora.services.store.seasons import canonical_name

ADA, BOB = "673b3797ca651be7", "b0b0000000000000"
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


@pytest.mark.parametrize(
	"name", ["", "ada@example.com", "673B3797CA651BE7", "673b3797ca651be", f"{ADA}0", None, f"{ADA}\n"]
)
def test_only_an_id_begins_a_name(name):
	"""Another text would begin nobody's name, or everybody's."""
	for make in (
		lambda: row_names.tracker_name(name, "s", "q"),
		lambda: row_names.submission_key(name, "s", "1"),
		lambda: row_names.names_of_learner(name),
		lambda: row_names.where_learner("Player Review Log", name),
		lambda: row_names.of_learner(name, "s"),
	):
		with pytest.raises(ValueError, match="16 hex digits"):
			make()


def test_golden_names():
	"""Names are stored: changing how they are made would part learners from their rows."""
	player, season, question = ADA, "2024-2025", "q-123"
	assert row_names.tracker_name(player, season, question) == "673b3797ca651be7398332fecf413ec8"
	assert row_names.submission_key(player, season, "s-1") == "673b3797ca651be726c785de799f022a"
	assert (
		row_names.journal_name(player, season, "s-1", question)
		== "673b3797ca651be726c785de799f022a067606e794de50cb"
	)


def test_a_learners_names_begin_alike():
	names = [row_names.tracker_name(ADA, s, q) for s in ("a", "b") for q in ("1", "2")]
	assert len({name[:16] for name in names}) == 1
	assert len(set(names)) == 4
	assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)
	assert row_names.tracker_name(BOB, "a", "1")[:16] != names[0][:16]


def test_the_names_of_a_submissions_journal_begin_with_its_key():
	key = row_names.submission_key(ADA, "s", "1")
	assert row_names.journal_name(ADA, "s", "1", "q").startswith(key)
	assert len(key) == 32
	assert row_names.key_of_entry(row_names.journal_name(ADA, "s", "1", "q")) == key
	assert row_names.learner_of(key) == ADA


@pytest.mark.parametrize(
	("learner", "is_hers"), [(ADA, True), (BOB, False), (ADA[:15] + "8", False), ("", False)]
)
def test_a_key_is_of_one_learner(learner, is_hers):
	assert row_names.is_of_learner(row_names.submission_key(ADA, "s", "1"), learner) == is_hers


def test_shares_part_all_names_evenly():
	assert row_names.shares(1) == [{"first": "0" * 16, "last": "g"}]
	firsts = ["0" * 16, "4" + "0" * 15, "8" + "0" * 15, "c" + "0" * 15]
	assert row_names.shares(4) == [
		{"first": first, "last": last} for first, last in zip(firsts, [*firsts[1:], "g"], strict=True)
	]
	thirds = [share["first"] for share in row_names.shares(3)]
	assert thirds == ["0" * 16, "5" * 16, "a" * 16]


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
	assert row_names.tracker_name(ADA, *one) != row_names.tracker_name(ADA, *other)


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
	assert unpack_records(pack_records([RECORD])) == [RECORD]


def test_a_payload_from_before_payloads_had_a_version_is_read():
	"""A site that is updated while answers wait has such rows in its outbox."""
	values = [
		*("q-1", "Géographie", None, 2.3065, 2.118104, "Review", 3, 1),
		*("2025-03-30T04:00:00", "2025-03-28T12:00:00.123456", "2025-03-01T09:30:00"),
	]
	assert unpack_records(json.dumps([values])) == [RECORD]


def test_a_payload_names_its_fields_so_that_their_order_may_change():
	payload = json.loads(pack_records([RECORD]))
	payload["fields"].reverse()
	payload["records"][0].reverse()
	assert unpack_records(json.dumps(payload)) == [RECORD]


@pytest.mark.parametrize(
	("change", "problem"),
	[
		({"version": 2}, "the payload has version 2, this Memora reads versions up to 1"),
		({"fields": ["question_id"]}, "11 values for 1 fields"),
		({"records": [["q-1"]]}, "missing 10 required"),
		({"fields": ["nonsense", *UNVERSIONED_FIELDS[1:]]}, "nonsense"),
	],
)
def test_a_payload_of_a_later_version_is_refused_and_stops_no_read(change, problem):
	payload = json.dumps(json.loads(pack_records([RECORD])) | change)
	with pytest.raises((ValueError, TypeError), match=problem):
		unpack_records(payload)
	assert overlay([(payload,), (pack_records([RECORD]),)]) == {"q-1": RECORD}


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
	assert unpack_records(pack_records([record])) == [record]


def test_of_two_records_the_higher_count_is_newer_then_the_later_answer():
	later = MemoryRecord(**{**vars(RECORD), "last_review_date": datetime(2025, 3, 29)})
	again = MemoryRecord(**{**vars(RECORD), "reps": 4, "last_review_date": datetime(2024, 3, 29)})
	assert RECORD.age < later.age < again.age


@pytest.mark.parametrize(
	"season", ["2024-2025", "SEASON-2026", "Été '25 `x`", "موسم", "", "x" * 140, "%s; --"]
)
def test_a_partition_name_is_a_plain_identifier_of_at_most_64_characters(season):
	assert re.fullmatch(r"p_[a-z0-9_]{1,62}", tables.partition_name(season))


def test_seasons_that_read_alike_have_partitions_of_their_own():
	seasons = ["a-b", "a_b", "a b", "A-B", "a-b ", "x" * 139, "x" * 140, "موسم", "مواسم"]
	assert len({tables.partition_name(season) for season in seasons}) == len(seasons)
