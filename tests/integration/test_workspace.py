"""Managers first see the workspace with its cards and charts, even if there is nothing to show."""

from datetime import timedelta

import frappe
import pytest

from memora.services.figures import activity, due_forecast
from memora.services.folding import folds
from tests.integration.client import Client, message
from tests.integration.factories import (
	learner_id,
	make_learner,
	make_records,
	make_waiting_submission,
	site_now,
)
from tests.integration.submitting import answers, submit
from tests.integration.test_budgets import counted

CARDS = ("learners_today", "answers_today", "due_today", "oldest_unfolded_answer", "safe_mode")
CHARTS = ("Answers per Day", "True Retention per Week", "Due in the Next 30 Days", "Cache Discrepancy Rate")
PAGE = "frappe.desk.desktop.get_desktop_page"


def show(card: str):
	"""Returns what a card's endpoint answers, in this process."""
	frappe.db.rollback()
	return frappe.call(f"memora.api.cards.{card}")


@pytest.fixture
def manager(web) -> Client:
	return Client(web.url, make_learner(roles=["Memora Manager"]).token)


@pytest.fixture
def stranger(web) -> Client:
	"""Somebody with a role of the desk, but none of Memora's."""
	return Client(web.url, make_learner(roles=["Dashboard Manager"]).token)


# Cards


def test_cards_of_a_site_without_data_show_nothing():
	assert [show(card) for card in CARDS[3:]] == ["None", "Off"]
	assert [show(card)["value"] for card in CARDS[:3]] == [0, 0, 0]


def test_cards_without_any_season_show_nothing():
	frappe.db.delete("Game Subscription Season")
	assert frappe.call("memora.api.cards.due_today")["value"] == 0
	frappe.db.rollback()


def test_cards_show_what_is(player, season):
	make_records(player, 7)
	due_forecast.compute_forecast(season)
	submit(player, answers(3))
	submit(make_learner().name, answers(2))
	folds.drain(site_now())
	assert [show(card)["value"] for card in CARDS[:3]] == [2, 5, 7]
	activity.sum_up()
	assert [show(card)["value"] for card in CARDS[:3]] == [2, 5, 7]


def test_a_card_tells_for_how_long_the_oldest_answer_waits(player, season):
	for minutes in (2, 5):
		name = make_waiting_submission(player, season)
		created = site_now() - timedelta(minutes=minutes, seconds=10)
		frappe.db.set_value("Review Outbox", name, "creation", created, update_modified=False)
	frappe.db.commit()
	assert show("oldest_unfolded_answer").startswith("5m")


def test_a_card_tells_of_safe_mode(player):
	started = site_now().replace(hour=10, minute=42, second=0, microsecond=0)
	frappe.get_doc(
		{"doctype": "Safe Mode Incident", "started_at": started, "reason": "a test", "opening_told": 1}
	).insert()
	frappe.db.commit()
	assert show("safe_mode") == "Since 10:42"


@pytest.mark.parametrize("card", CARDS)
def test_a_card_costs_a_query_or_two(card, season):
	make_records(learner_id("somebody"), 3)
	due_forecast.compute_forecast(season)
	show(card)
	frappe.db.rollback()
	with counted() as queries:
		frappe.call(f"memora.api.cards.{card}")
	assert queries.total <= 3


@pytest.mark.parametrize("card", CARDS)
def test_cards_are_for_managers(client, manager, stranger, card):
	method = f"memora.api.cards.{card}"
	assert manager.post(method).status_code == 200
	assert client.post(method).status_code == 403
	assert stranger.post(method).status_code == 403


# The workspace


def test_a_manager_sees_the_workspace_with_all_that_is_on_it(manager):
	sidebar = message(manager.get("frappe.desk.desktop.get_workspace_sidebar_items"))
	(page,) = [page for page in sidebar["pages"] if page["name"] == "Memora"]
	shown = message(manager.post(PAGE, page=frappe.as_json(page)))
	assert [card["number_card_name"] for card in shown["number_cards"]["items"]] == cards_of_the_workspace()
	assert [chart["chart_name"] for chart in shown["charts"]["items"]] == list(CHARTS)
	links = {link["link_to"] for card in shown["cards"]["items"] for link in card["links"]}
	assert links == {link.link_to for link in frappe.get_doc("Workspace", "Memora").links if link.link_to}
	assert len(shown["shortcuts"]["items"]) == len(frappe.get_doc("Workspace", "Memora").shortcuts)


def cards_of_the_workspace() -> list[str]:
	return [card.number_card_name for card in frappe.get_doc("Workspace", "Memora").number_cards]


def test_others_do_not_see_it(stranger):
	sidebar = message(stranger.get("frappe.desk.desktop.get_workspace_sidebar_items"))
	assert "Memora" not in [page["name"] for page in sidebar["pages"]]


def test_every_card_and_chart_is_there_and_asks_what_there_is():
	for name in cards_of_the_workspace():
		card = frappe.get_doc("Number Card", name)
		assert frappe.get_attr(card.method).__name__ in CARDS
	for name in CHARTS:
		chart = frappe.get_doc("Dashboard Chart", name)
		assert chart.use_report_chart
		assert not frappe.db.get_value("Report", chart.report_name, "prepared_report")


def test_the_button_has_a_job_compute_the_forecast(manager, season):
	job = message(manager.post("memora.api.srs.compute_due_forecast", season=season))
	assert job["status"] == "queued"
	assert manager.post("memora.api.srs.compute_due_forecast", season="Nowhere").status_code == 404
	assert manager.post("memora.api.srs.compute_due_forecast").status_code == 400
	assert manager.get("memora.api.srs.compute_due_forecast", season=season).status_code == 403
