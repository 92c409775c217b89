"""What the DocTypes' files must not say, because one of the supported versions of Frappe makes columns of it."""

import json
from pathlib import Path

import pytest

DOCTYPES = Path(__file__).parents[2] / "memora" / "memora" / "doctype"
SHORTEST_TEXT = 64
DECIMALS = ("Float", "Currency", "Percent", "Duration")


def doctypes() -> dict[str, dict]:
	files = DOCTYPES.glob("*/*.json")
	found = [json.loads(file.read_text()) for file in files]
	return {doc["name"]: doc for doc in found if doc["doctype"] == "DocType"}


def decimals(doctype: dict) -> list[dict]:
	return [field for field in doctype["fields"] if field["fieldtype"] in DECIMALS]


@pytest.mark.parametrize("name", [name for name, doc in doctypes().items() if not doc.get("issingle")])
def test_no_number_has_a_precision_that_frappe_16_would_round_by(name):
	sized = [f["fieldname"] for f in decimals(doctypes()[name]) if f.get("precision") or f.get("length")]
	assert sized == []


@pytest.mark.parametrize("name", doctypes())
def test_no_text_is_shorter_than_frappe_16_makes_its_column(name):
	lengths = {f["fieldname"]: int(f["length"]) for f in doctypes()[name]["fields"] if f.get("length")}
	assert [field for field, length in lengths.items() if length < SHORTEST_TEXT] == []


def test_there_are_numbers_to_look_at():
	memory = doctypes()["Player Memory Tracker"]
	assert [field["fieldname"] for field in decimals(memory)] == ["stability", "difficulty"]
