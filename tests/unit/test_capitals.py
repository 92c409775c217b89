"""The question set that comes with the app."""

import csv
from collections import Counter
from pathlib import Path

import pytest

CAPITALS = Path(__file__).resolve().parents[2] / "memora" / "data" / "capitals.csv"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
	with CAPITALS.open(encoding="utf-8", newline="") as file:
		return list(csv.DictReader(file))


def test_it_has_the_worlds_countries_in_several_topics(rows):
	assert len(rows) >= 190
	topics = Counter(row["topic"] for row in rows)
	assert len(topics) >= 5
	assert min(topics.values()) >= 4  # a right option and three wrong ones


@pytest.mark.parametrize("column", ["question_id", "country"])
def test_every_row_is_about_another_country(rows, column):
	assert len({row[column].casefold() for row in rows}) == len(rows)


def test_every_row_is_complete_and_clean(rows):
	for row in rows:
		for column in ("question_id", "topic", "country", "capital"):
			assert row[column], row
			assert row[column] == " ".join(row[column].split())
		assert len(row["question_id"]) <= 140


@pytest.mark.parametrize(
	("country", "capital"),
	[
		("France", "Paris"),
		("Japan", "Tokyo"),
		("Australia", "Canberra"),
		("Brazil", "Brasília"),
		("Kenya", "Nairobi"),
	],
)
def test_some_well_known_ones(rows, country, capital):
	assert [row["capital"] for row in rows if row["country"] == country] == [capital]
