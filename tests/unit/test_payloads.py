"""What travels along with a submission: counts, efforts, and payloads that can't be read."""

import json
from dataclasses import replace

import pytest

from memora.services.store.records import (
	ActivityCount,
	Effort,
	overlay,
	pack_records,
	practice_digits,
	unpack_activity,
	unpack_effort,
	unpack_records,
)
from tests.unit.test_names import RECORD

DAY = "2026-03-04"
A, B = practice_digits("a"), practice_digits("b")


@pytest.mark.parametrize("nothing", [None, "", "[]"])
def test_a_row_of_an_earlier_version_brings_no_counts(nothing):
	assert unpack_activity(nothing) == []


def test_counts_from_before_the_server_graded_have_none_that_it_graded():
	counts = [[DAY, "Subject", 3, 2, 1], [DAY, "", 3, 2, 2, 2, 1]]
	assert unpack_activity(json.dumps(counts)) == [
		ActivityCount(DAY, "Subject", 3, 2, 1, 0, 0),
		ActivityCount(DAY, "", 3, 2, 2, 2, 1),
	]


def test_efforts_of_one_day_add_up_and_those_of_others_do_not():
	assert Effort(DAY) == (DAY, 0, "", 0)
	one, other = Effort(DAY, 5, A, 2), Effort(DAY, 3, B + A, 1)
	assert one.plus(other) == (DAY, 8, A + B + A, 3)
	assert one.plus(Effort("2026-03-05", 3, B, 1)) == one


def test_how_often_a_question_was_practised():
	effort = Effort(DAY, 3, A + B + A)
	assert [effort.count_practice(q) for q in ("a", "b", "c")] == [2, 1, 0]
	assert (
		Effort(DAY, 1, "0" + A).count_practice("a") == 0
	)  # another question's digits, and not these within them


def test_an_effort_travels_in_a_payload():
	effort = Effort(DAY, 3, A, 2)
	assert unpack_effort(pack_records([RECORD], effort)) == effort
	assert unpack_effort(pack_records([RECORD])) is None


@pytest.mark.parametrize(
	"payload",
	[None, "", "[]", "{", "{}", "5", json.dumps({"effort": 5}), json.dumps({"effort": [DAY, 1, A, 2, 3]})],
)
def test_a_payload_without_a_readable_effort_brings_none(payload):
	assert unpack_effort(payload) is None


@pytest.mark.parametrize(
	("payload", "error"),
	[
		("{", ValueError),
		("[1]", TypeError),
		("5", AttributeError),
		("{}", KeyError),
		(json.dumps({"version": 2, "records": []}), ValueError),
	],
)
def test_what_can_not_be_read_is_refused_and_stops_no_read(payload, error):
	with pytest.raises(error):
		unpack_records(payload)
	assert overlay([(payload,), (pack_records([RECORD]),), (None,)]) == {"q-1": RECORD}


def test_of_equal_records_the_one_that_was_sent_later_counts():
	later, older = replace(RECORD, stability=9.5), replace(RECORD, reps=RECORD.reps - 1)
	payloads = [(pack_records([record]),) for record in (RECORD, later, older)]
	assert overlay(payloads) == {"q-1": later}
