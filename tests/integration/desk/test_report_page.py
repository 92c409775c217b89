"""The reports' charts, as a manager sees them on a report's own page."""

from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect

from memora.services import site_time
from memora.services.figures import activity, due_forecast
from memora.services.folding import folds
from tests.integration.factories import make_learner, make_records, site_now
from tests.integration.submitting import answers, submit
from tests.integration.waiting import wait_until

PLACES = "labels => labels.map(label => label.getBoundingClientRect()).map(box => [box.left, box.right])"
LEARNERS, ANSWERS = 6, 30  # enough that the axis has numbers of three digits


def texts_of(page: Page, axis: str) -> list[str]:
	return [text for text in page.locator(f".chart-wrapper .{axis}.axis text").all_text_contents() if text]


def places_of_labels(page: Page) -> list[list[float]]:
	"""Returns where each label below the chart begins and ends. A chart that is just drawn anew has none."""
	labels = page.locator(".chart-wrapper .x.axis text:visible")
	return sorted(place for place in labels.evaluate_all(PLACES) if place[1] > place[0])


def shown(page: Page, report: str) -> None:
	page.route("**/socket.io/*", lambda route: route.abort())  # no such server runs beside the tests
	page.goto(f"/app/query-report/{report}")
	expect(page.locator(".chart-wrapper svg.frappe-chart")).to_be_visible()
	expect(page.locator(".chart-wrapper .x.axis text").first).to_be_attached()


def test_axes_have_whole_numbers_and_days_with_their_month(administrator):
	for _ in range(LEARNERS):
		submit(make_learner().name, answers(ANSWERS))
	folds.drain(site_now())
	activity.sum_up()
	page = administrator.page
	shown(page, "Activity by Day")
	wait_until(lambda: "100" in texts_of(page, "y"), "the axis to have its numbers")
	assert not [text for text in texts_of(page, "y") if "." in text]
	# the form proposes the day by the calendar, which is ahead of the learning day in the small hours
	last = {f"{day.day} {day:%b}" for day in (site_time.learning_day(), site_now().date())}
	wait_until(lambda: last & {*texts_of(page, "x")}, "the axis to have its days")


@pytest.mark.parametrize("report", ["Activity by Day", "Due Forecast"])
def test_labels_below_days_do_not_run_into_each_other(administrator, player, season, report):
	submit(player, answers(3))
	folds.drain(site_now())
	activity.sum_up()
	make_records(player, 3)
	due_forecast.compute_forecast(season)
	page = administrator.page
	shown(page, report)
	places: list[list[float]] = []

	def are_drawn() -> bool:
		places[:] = places_of_labels(page)
		return len(places) >= 3

	wait_until(are_drawn, "the chart to be drawn")
	assert all(end < begin for (_, end), (begin, _) in pairwise(places)), places
