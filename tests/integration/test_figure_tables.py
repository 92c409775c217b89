"""The tables of figures by themselves: what is added up, and that the rows of other seasons, days and learners stay."""

from datetime import date, datetime, timedelta
from typing import Any

import frappe
import pytest

from memora.services.store import figure_tables
from memora.services.store.figure_tables import Counts, Day
from memora.services.store.records import ActivityCount, Effort
from tests.integration import state
from tests.integration.factories import learner_id

DAYS = [date(2026, 3, day) for day in (5, 6, 7)]
FIRST, SECOND, THIRD = DAYS
SEASON, OTHER = "One Season", "Other Season"
GEOGRAPHY, BIOLOGY = "Geography", "Biology"
NOW = datetime(2026, 3, 8, 12)
HER, FRIEND, CLASSMATE = (learner_id(name) for name in ("her", "friend", "classmate"))


def counts(number: int) -> Counts:
	"""Figures that no other number has, nor any sum of two."""
	return Counts(*(3**number * factor for factor in (9, 7, 5, 3, 1)))


# Of each season, day and subject; and how many learners there were
SUMS: figure_tables.Sums = {
	(season, day): {GEOGRAPHY: counts(index), BIOLOGY: counts(index + 1), "": counts(index + 2)}
	for index, (season, day) in enumerate((s, d) for s in (SEASON, OTHER) for d in DAYS)
}
LEARNERS = {key: number for number, key in enumerate(SUMS, start=2)}


def insert(doctype: str, **values: Any) -> None:
	frappe.db.sql(
		f"INSERT INTO `tab{doctype}` ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})",
		tuple(values.values()),
	)


def total(*several: Counts) -> Counts:
	return Counts(*map(sum, zip(*several, strict=True)))


def days(season: str = SEASON) -> list[Day]:
	return figure_tables.get_days(season, date.min, date.max)


def expected(season: str = SEASON, of_days: list[date] = DAYS) -> list[Day]:
	return [Day(day, season, LEARNERS[season, day], total(*SUMS[season, day].values())) for day in of_days]


def subjects(season: str = SEASON, first: date = FIRST, last: date = THIRD) -> list[tuple[str, Counts]]:
	return list(figure_tables.get_days_by_subject(season, first, last).items())


@pytest.fixture
def summed() -> None:
	figure_tables.add_to_days(SUMS, LEARNERS, NOW)


# Days


def test_a_season_is_read_from_one_day_to_another(summed):
	assert figure_tables.get_days(SEASON, FIRST, SECOND) == expected(of_days=[FIRST, SECOND])
	assert figure_tables.get_days(OTHER, SECOND, SECOND) == expected(OTHER, [SECOND])
	one, other = SUMS[SEASON, SECOND], SUMS[SEASON, THIRD]
	assert subjects(first=SECOND) == [
		(name, total(one[name], other[name])) for name in ("", BIOLOGY, GEOGRAPHY)
	]
	assert subjects("No Season") == days("No Season") == []


def test_what_comes_later_is_added_and_no_learner_goes(summed):
	later, key = NOW + timedelta(hours=1), (SEASON, SECOND)
	figure_tables.add_to_days({key: {BIOLOGY: counts(9)}}, {key: 1}, later)
	frappe.db.commit()
	first, second, third = days()
	assert [first, third] == expected(of_days=[FIRST, THIRD])
	assert second == expected(of_days=[SECOND])[0]._replace(counts=total(*SUMS[key].values(), counts(9)))
	assert dict(subjects(first=SECOND, last=SECOND))[BIOLOGY] == total(SUMS[key][BIOLOGY], counts(9))
	changed = [row for row in state.rows("Daily Activity") if row.modified == later]
	assert [(row.season, row.day, row.creation) for row in changed] == [(SEASON, SECOND, NOW)]
	of_subjects = [row for row in state.rows("Daily Activity Subject") if row.modified == later]
	assert [(row.parent, row.subject) for row in of_subjects] == [(changed[0].name, BIOLOGY)]
	figure_tables.add_to_days({key: {BIOLOGY: counts(0)}}, {key: 100}, later)
	assert days()[1].learners == 100


def test_subjects_are_counted_under_their_present_names():
	present, key = {"erdkunde": GEOGRAPHY}, (SEASON, FIRST)
	old = {"Erdkunde": counts(1), "ERDKUNDE": counts(3), GEOGRAPHY: counts(5), BIOLOGY: counts(7)}
	assert figure_tables.by_present_name(old, present) == {
		GEOGRAPHY: total(counts(1), counts(3), counts(5)),
		BIOLOGY: counts(7),
	}
	figure_tables.add_to_days({key: old}, {key: 1}, NOW, present)
	assert subjects() == [(BIOLOGY, counts(7)), (GEOGRAPHY, total(counts(1), counts(3), counts(5)))]
	assert days()[0].counts == total(*old.values())


def test_a_subject_that_is_renamed_takes_its_figures_along(summed):
	rows = len(frappe.get_all("Daily Activity Subject"))
	figure_tables.rename_subject(GEOGRAPHY, "Earth")
	figure_tables.rename_subject("Earth", "Earth")
	old = {day: SUMS[SEASON, day] for day in DAYS}
	every = {name: total(*(old[day][name] for day in DAYS)) for name in (GEOGRAPHY, BIOLOGY, "")}
	assert subjects() == [("", every[""]), (BIOLOGY, every[BIOLOGY]), ("Earth", every[GEOGRAPHY])]
	figure_tables.rename_subject(BIOLOGY, "Earth")  # which has figures of the same days
	assert subjects() == [("", every[""]), ("Earth", total(every[BIOLOGY], every[GEOGRAPHY]))]
	key = (SEASON, FIRST)
	figure_tables.add_to_days({key: {"Earth": counts(9)}}, {key: 1}, NOW)
	assert dict(subjects(last=FIRST))["Earth"] == total(old[FIRST][BIOLOGY], old[FIRST][GEOGRAPHY], counts(9))
	assert len(frappe.get_all("Daily Activity Subject")) == rows * 2 // 3
	assert days(OTHER) == expected(OTHER)


def test_the_days_before_one_are_forgotten(summed):
	figure_tables.forget_days(SEASON, SECOND)
	assert days() == expected(of_days=[SECOND, THIRD])
	assert days(OTHER) == expected(OTHER)
	assert [len(subjects(season)) for season in (SEASON, OTHER)] == [3, 3]
	assert frappe.db.count("Daily Activity Subject") == (2 + 3) * 3


def test_a_season_is_forgotten(summed):
	figure_tables.insert_counts(SUMS, NOW)
	efforts = {(season, str(FIRST), HER): Effort(str(FIRST), 1) for season in (SEASON, OTHER)}
	figure_tables.insert_learners(efforts, NOW)
	figure_tables.forget_season(SEASON)
	assert days() == figure_tables.get_waiting_counts(SEASON) == []
	assert days(OTHER) == expected(OTHER)
	assert frappe.db.count("Daily Activity Subject") == 9
	assert len(figure_tables.get_waiting_counts(OTHER)) == 9
	assert [figure_tables.count_learners(FIRST, season) for season in (SEASON, OTHER)] == [0, 1]


def test_the_share_of_what_was_recalled():
	some = Counts(9, 3, 2, 7, 3)
	assert (some.retention_percent, some.graded_retention_percent) == (66.7, 42.9)
	assert (Counts(9).retention_percent, Counts(9, 1).graded_retention_percent) == (None, None)
	assert Counts() == (0, 0, 0, 0, 0)


# What waits to be added


def test_counts_are_taken_in_the_order_of_their_names_and_deleted():
	figure_tables.insert_counts(SUMS, NOW)
	figure_tables.delete_counts([])
	every = frappe.get_all("Activity Count", pluck="name", order_by="name asc")
	assert len(every) == 18
	names, sums = figure_tables.take_counts(7)
	assert names == every[:7]
	assert sum(len(of_day) for of_day in sums.values()) == 7
	assert all(SUMS[key][name] == found for key, of_day in sums.items() for name, found in of_day.items())
	figure_tables.delete_counts(names)
	assert frappe.get_all("Activity Count", pluck="name", order_by="name asc") == every[7:]
	assert figure_tables.take_counts(100)[0] == every[7:]


def test_pairs_of_one_day_and_subject_are_added():
	rows = [(SEASON, ActivityCount(str(FIRST), BIOLOGY, *counts(number))) for number in (1, 4)]
	rows += [(OTHER, ActivityCount(FIRST, GEOGRAPHY, *counts(2)))]  # a date, as MariaDB answers it
	assert figure_tables.sum_counts(rows) == {
		(SEASON, FIRST): {BIOLOGY: total(counts(1), counts(4))},
		(OTHER, FIRST): {GEOGRAPHY: counts(2)},
	}


def test_what_waits_of_a_season_and_of_a_day(summed):
	waiting = {}
	for number, (season, day) in enumerate([(SEASON, FIRST), (OTHER, FIRST), (SEASON, SECOND)]):
		folded, in_outbox = (ActivityCount(str(day), BIOLOGY, *counts(number + more)) for more in (5, 8))
		figure_tables.insert_counts({(season, day): {BIOLOGY: counts(number + 5)}}, NOW)
		activity = frappe.as_json([in_outbox])
		insert(
			"Review Outbox", name=f"{number:032}", season=season, player=HER, payload="[]", activity=activity
		)
		waiting.setdefault(season, []).extend([folded, in_outbox])
	for season in (SEASON, OTHER):
		assert sorted(figure_tables.get_waiting_counts(season)) == sorted(waiting[season])
	answers = [of_day.answers for season in (SEASON, OTHER) for of_day in SUMS[season, FIRST].values()]
	assert figure_tables.count_answers_of_day(FIRST) == sum(answers) + counts(5).answers + counts(6).answers
	assert figure_tables.count_answers_of_day(FIRST - timedelta(days=1)) == 0


def test_what_falls_due_until_a_day():
	for season, factor in ((SEASON, 1), (OTHER, 1000)):
		for number, day in enumerate(DAYS):
			name = f"{season}{day}"
			insert("Due Forecast Day", name=name, parent=season, day=day, records=10**number * factor)
	assert [figure_tables.get_due_until(SEASON, day) for day in DAYS] == [1, 11, 111]
	assert figure_tables.get_due_until("No Season", THIRD) == 0


# Learners


def effort(day: date, answers: int, practised: str = "", learnt: int = 0) -> Effort:
	return Effort(str(day), answers, practised, learnt)


def efforts_of(learner: str) -> dict[tuple[str, date], tuple[int, str, int]]:
	rows = frappe.get_all("Daily Learner", {"player": learner}, ["*"])
	assert all(row.name == figure_tables.learner_row_name(row.season, row.day, learner) for row in rows)
	return {(row.season, row.day): (row.answers, row.practised or "", row.learnt) for row in rows}


def note(*rows: tuple[str, date, str, Effort]) -> None:
	figure_tables.insert_learners({(s, str(day), learner): e for s, day, learner, e in rows}, NOW)


def test_efforts_of_a_day_are_added():
	note((SEASON, FIRST, HER, effort(FIRST, 3, "ab", 1)), (SEASON, FIRST, FRIEND, effort(FIRST, 1)))
	note((SEASON, FIRST, HER, effort(FIRST, 4, "cd", 2)), (SEASON, SECOND, HER, effort(SECOND, 5, "ef", 3)))
	assert efforts_of(HER) == {(SEASON, FIRST): (7, "abcd", 3), (SEASON, SECOND): (5, "ef", 3)}
	assert efforts_of(FRIEND) == {(SEASON, FIRST): (1, "", 0)}


def test_learners_are_counted_by_day_and_by_season():
	note(*((SEASON, FIRST, learner, effort(FIRST, 1)) for learner in (HER, FRIEND, CLASSMATE)))
	note((OTHER, FIRST, HER, effort(FIRST, 1)), (OTHER, FIRST, FRIEND, effort(FIRST, 1)))
	note((SEASON, SECOND, HER, effort(SECOND, 1)), (SEASON, THIRD, HER, effort(THIRD, 1)))
	assert [figure_tables.count_learners(FIRST, season) for season in (None, SEASON, OTHER)] == [5, 3, 2]
	assert [figure_tables.count_learners(SECOND, season) for season in (None, SEASON, OTHER)] == [1, 1, 0]
	assert [figure_tables.count_learners_of_day(FIRST, limit) for limit in (4, 5, 6)] == [5, 5, 5]
	assert figure_tables.count_learners_of_day(FIRST, 2) == 3  # as far as it counts
	figure_tables.add_to_days(SUMS, {**LEARNERS, (SEASON, SECOND): 100}, NOW)
	summed = LEARNERS[SEASON, FIRST] + LEARNERS[OTHER, FIRST]
	assert [figure_tables.count_learners_of_day(FIRST, limit) for limit in (2, 5)] == [summed, 5]


def test_learners_of_before_a_day_go_some_at_a_time(monkeypatch):
	less = figure_tables.CLEAR_SQL.replace(f"LIMIT {figure_tables.CLEAR_ROWS}", "LIMIT 1")
	monkeypatch.setattr(figure_tables, "CLEAR_SQL", less)
	note(*((season, day, HER, effort(day, 1)) for season in (SEASON, OTHER) for day in DAYS))
	left = []
	for _time in range(3):
		figure_tables.clear_learners(SECOND)
		left.append(sorted(day for _season, day in efforts_of(HER)))
	assert left[1:] == [[SECOND, SECOND, THIRD, THIRD]] * 2
	assert left[0] == [FIRST, *left[1]]


def test_the_rows_of_a_learner_who_is_merged_are_added_to_anothers():
	note(
		*((SEASON, day, HER, effort(day, 3, "ab", 1)) for day in DAYS), (OTHER, FIRST, HER, effort(FIRST, 5))
	)
	note((SEASON, FIRST, FRIEND, effort(FIRST, 4, "cd", 2)), (SEASON, FIRST, CLASSMATE, effort(FIRST, 9)))
	frappe.db.commit()
	figure_tables.move_learner(HER, FRIEND, [SEASON], [str(FIRST), str(SECOND)])
	assert efforts_of(HER) == {(SEASON, THIRD): (3, "ab", 1), (OTHER, FIRST): (5, "", 0)}
	assert efforts_of(FRIEND) == {(SEASON, FIRST): (7, "cdab", 3), (SEASON, SECOND): (3, "ab", 1)}
	assert efforts_of(CLASSMATE) == {(SEASON, FIRST): (9, "", 0)}
	figure_tables.move_learner(HER, FRIEND, [], [])
	figure_tables.move_learner(CLASSMATE, FRIEND, [SEASON], [str(SECOND)])
	assert efforts_of(CLASSMATE) == {(SEASON, FIRST): (9, "", 0)}
