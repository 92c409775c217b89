"""A season's days, counted again from the journal: for days on which the app did not count yet."""

from datetime import timedelta

import frappe
import pytest

from memora.services import site_time
from memora.services.figures import activity, activity_rebuild
from tests.integration import bench_commands, state
from tests.integration.factories import make_learner, make_season
from tests.integration.submitting import answers, submit
from tests.integration.test_activity import BOTH_SUBJECTS, assert_as_journalled, daily, drain, today


@pytest.fixture
def played(player, season) -> None:
	"""Two learners have answered four days ago and yesterday, and one of them today; all is folded."""
	other = make_learner().name
	for days, learners in ((3, (player, other)), (1, (player, other)), (0, (player,))):
		for learner in learners:
			submit(learner, answers(questions=BOTH_SUBJECTS, quality=4 - days))
		drain()
		let_days_pass(days)


def let_days_pass(days: int) -> None:
	"""The figures have not moved along: they are those of an app that did not count yet."""
	shift = f"- INTERVAL {days} DAY"
	frappe.db.sql(f"UPDATE `tabPlayer Review Log` SET reviewed_at = reviewed_at {shift}")
	frappe.db.sql(
		f"UPDATE `tabPlayer Memory Tracker` SET last_review_date = last_review_date {shift}, "
		f"next_review_date = next_review_date {shift}"
	)
	if days:
		for doctype in ("Activity Count", "Daily Learner"):
			frappe.db.delete(doctype)
	frappe.db.commit()


def test_days_before_the_app_counted_are_counted_from_the_journal(played, player, season):
	activity.sum_up()
	report = activity_rebuild.rebuild_activity(season)
	assert (report.learners, report.answers, report.days) == (2, 10, 2)
	assert_as_journalled()
	assert [learners for learners, *_ in daily(season).values()] == [2, 2, 1]
	before = daily(season)
	activity_rebuild.rebuild_activity(season)
	assert daily(season) == before


def test_what_is_still_to_be_counted_is_not_counted_twice_by_a_rebuild(played, player, season):
	"""An answer of yesterday is folded late: its fold will count it, or has just done so."""
	yesterday = str(site_time.learning_day() - timedelta(days=1))
	for fold in (False, True):
		submit(player, answers(3))
		(row,) = state.outbox(player)
		moved = row.activity.replace(today(), yesterday)
		frappe.db.set_value("Review Outbox", row.name, "activity", moved, update_modified=False)
		frappe.db.sql(
			"UPDATE `tabPlayer Review Log` SET reviewed_at = reviewed_at - INTERVAL 1 DAY WHERE name LIKE %s",
			(f"{row.name}%",),
		)
		frappe.db.commit()
		if fold:
			drain()
		activity_rebuild.rebuild_activity(season)
		drain()
		activity.sum_up()
		assert_as_journalled()


def test_the_command_counts_anew(played, season):
	result = bench_commands.run(
		"--site", frappe.local.site, "memora", "activity", "--rebuild", season, "--json"
	)
	assert result.exit_code == 0, result.stderr
	assert frappe.parse_json(result.stdout) == {
		"season": season,
		"learners": 2,
		"answers": 10,
		"days": 2,
		"counts": 2,
	}
	assert_as_journalled()


def test_another_seasons_figures_stay(played, player, season):
	other = make_season().name
	activity.sum_up()
	before = daily(season)
	activity_rebuild.rebuild_activity(other)
	assert daily(season) == before
