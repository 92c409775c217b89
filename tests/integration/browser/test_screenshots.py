"""`./dev screenshots`: the answers it makes are such as the app takes, its pictures show what the page shows."""

from datetime import timedelta

import frappe
from PIL import Image
from playwright.sync_api import expect

from memora.services import site_time
from memora.services.figures import activity
from memora.services.folding import folds
from memora.services.operations import replay
from memora.services.store import seasons
from screenshots import camera, school
from tests.integration.factories import bank_questions, make_records

DAYS = 25


def test_the_school_s_answers_are_those_of_their_days(player, season):
	today = site_time.learning_day()
	days = [today - timedelta(days=n) for n in reversed(range(DAYS))]
	school.study(player, seasons.get_season(season), bank_questions(), days)
	folds.drain_season(season)
	report = replay.replay_season(season, player)
	assert (report.differences, report.unjournalled) == (0, 0)
	assert report.answers > report.questions == len(bank_questions())
	activity.sum_up()
	assert sum(day.counts.answers for day in activity.by_day(season, *days[:: DAYS - 1])) == report.answers
	last = frappe.db.get_value(
		"Player Review Log", {"player": player}, "reviewed_at", order_by="reviewed_at DESC"
	)
	assert last <= site_time.naive_now()


def test_a_picture_of_the_learner_s_page(pupil, player, tmp_path):
	make_records(player, 2)
	pupil.open()
	expect(pupil.button("Show answer")).to_be_visible()
	camera.take(pupil.page, tmp_path / "page.png")
	with Image.open(tmp_path / "page.png") as picture:
		assert picture.size == (pupil.page.viewport_size["width"], pupil.page.viewport_size["height"])
		assert len(picture.convert("RGB").getcolors(camera.COLOURS)) > 10  # None where there are more
