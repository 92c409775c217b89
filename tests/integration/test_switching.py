"""One season closes and another opens, in one step."""

import json

import frappe
import pytest

from memora.exceptions import InvalidSeason, SeasonStateError, UnknownSeason
from memora.services.operations import switching
from memora.services.store import seasons
from tests.integration import state
from tests.integration.bench_commands import run
from tests.integration.connections import at_once
from tests.integration.factories import bank_questions, make_season, site_now
from tests.integration.submitting import answers, read, submit

SEASON = "Game Subscription Season"
API = "memora.api.srs."


@pytest.fixture
def next_season() -> str:
	return make_season().name


def active() -> list[str]:
	frappe.db.rollback()
	return frappe.get_all(SEASON, {"is_active": 1}, pluck="name")


def test_the_old_season_closes_and_the_new_one_opens(player, season, next_season):
	submit(player, answers(2))
	with state.nothing_changes():
		found = switching.describe_switch(next_season)
	assert (found["closes"], found["opens"], found["waiting"]) == (season, next_season, 1)
	assert found["carries_on_from"] is None
	assert found["late_answers_until"] == frappe.utils.add_days(site_now().date(), 14)
	assert switching.switch_season(next_season) == found
	assert active() == [next_season]
	assert frappe.db.get_value(SEASON, season, "closed_at")
	assert read(player)["season"] == next_season


def test_a_learner_never_finds_the_site_without_a_season(player, season, next_season):
	def learn() -> set[str | None]:
		return {read(player)["season"] for _ in range(60)}

	def switch() -> None:
		for name in (next_season, season) * 4:
			switching.switch_season(name)

	found, _none = at_once(learn, switch)
	assert found <= {season, next_season}


def test_no_answer_is_refused_or_doubled_while_the_season_changes(player, season, next_season):
	questions = bank_questions()[:15]

	def answer() -> set[str]:
		return {submit(player, answers(questions=[q]), f"s-{q}")["status"] for q in questions}

	def switch() -> None:
		for name in (next_season, season) * 4:
			switching.switch_season(name)

	statuses, _none = at_once(answer, switch)
	assert statuses == {"success"}
	assert sorted(row.question_id for row in state.rows("Player Review Log")) == sorted(questions)


def test_an_old_season_is_opened_again_in_the_same_way(season, next_season):
	switching.switch_season(next_season)
	assert switching.switch_season(season)["closes"] == next_season
	assert active() == [season]
	assert frappe.db.get_value(SEASON, season, "closed_at") is None


def test_where_no_season_is_active_the_switch_opens_one(season, next_season):
	frappe.get_doc(SEASON, season).update({"is_active": 0}).save()
	found = switching.switch_season(next_season)
	assert (found["closes"], found["late_answers_until"], active()) == (None, None, [next_season])


@pytest.mark.parametrize(
	("values", "why"),
	[
		({"archive_started_at": "2026-01-01"}, "archived"),
		({"auto_archive": 1}, "automatically"),
		({"partition_created": 0}, "partitions"),
		({"start_date": "2030-01-01", "end_date": "2029-01-01"}, "before it starts"),
	],
)
def test_a_refusal_changes_nothing(season, next_season, values, why):
	frappe.db.set_value(SEASON, next_season, values)
	frappe.db.commit()
	with state.nothing_changes(), pytest.raises((SeasonStateError, InvalidSeason), match=why):
		switching.switch_season(next_season)
	with state.nothing_changes(), pytest.raises((SeasonStateError, InvalidSeason), match=why):
		switching.describe_switch(next_season)
	assert active() == [season]


def test_the_active_season_and_an_unknown_one_are_refused(season):
	with state.nothing_changes(), pytest.raises(SeasonStateError, match="active already"):
		switching.switch_season(season)
	with state.nothing_changes(), pytest.raises(UnknownSeason, match="nowhere"):
		switching.switch_season("nowhere")


def test_of_two_switches_at_once_each_is_done_or_refused(season):
	two = [make_season().name for _ in range(2)]
	at_once(*[lambda name=name: switching.switch_season(name) for name in two])
	(opened,) = active()
	assert opened in two


# The doors


def test_the_endpoint_says_first_what_it_would_do(each_manager, season, next_season):
	found = each_manager.post(f"{API}switch_season", season=next_season).json()["message"]
	assert (found["status"], found["closes"], active()) == ("dry_run", season, [season])
	found = each_manager.post(f"{API}switch_season", season=next_season, confirm=1).json()["message"]
	assert (found["status"], found["opens"], active()) == ("switched", next_season, [next_season])


def test_learners_do_not_switch_seasons(client, season, next_season):
	with state.nothing_changes():
		assert client.post(f"{API}switch_season", season=next_season, confirm=1).status_code == 403


def test_the_command(season, next_season):
	dry = json.loads(
		run("--site", frappe.local.site, "memora", "switch-season", next_season, "--dry-run", "--json").stdout
	)
	assert (dry["closes"], active()) == (season, [season])
	assert (
		json.loads(run("--site", frappe.local.site, "memora", "switch-season", next_season, "--json").stdout)[
			"opens"
		]
		== next_season
	)
	assert active() == [next_season]
	assert run("--site", frappe.local.site, "memora", "switch-season", next_season).exit_code == 1


# What a season carries on from


def test_a_season_notes_what_it_carries_on_from(season):
	names = [season]
	for _ in range(3):
		names.append(make_season(carries_on_from=names[-1]).name)
	assert seasons.get_season(names[3]).earlier == (names[2], names[1], season)
	changed = frappe.get_doc(SEASON, names[1])
	changed.update({"carries_on_from": None}).save()
	assert seasons.get_season(names[3]).earlier == (names[2], names[1])
	assert seasons.get_season(names[1]).earlier == ()
	with pytest.raises(InvalidSeason, match="carries on from it"):
		changed.update({"carries_on_from": names[3]}).save()


def test_a_season_does_not_carry_on_from_itself(season):
	with pytest.raises(InvalidSeason, match=season):
		frappe.get_doc(SEASON, season).update({"carries_on_from": season}).save()
	frappe.db.rollback()
