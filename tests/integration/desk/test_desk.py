"""An administrator works in the desk, in a browser, with a real worker."""

import threading

import frappe
import pytest
from frappe.utils import add_days, today
from playwright.sync_api import expect

from memora.services import srs_archiver
from memora.services.cache import rebuild
from memora.services.folding import folds
from memora.services.store import partitions
from tests.integration import state
from tests.integration.archiving import make_ended_season, stored
from tests.integration.connections import in_other_connection
from tests.integration.factories import bank_questions, make_learner, make_records, make_season
from tests.integration.submitting import answers, submit
from tests.integration.test_retention_of_seasons import make_old
from tests.integration.waiting import wait_until

DOCTYPE = "Game Subscription Season"
WAIT_SECONDS = 30


def test_a_season_is_made_in_its_form(administrator):
	administrator.page.goto("/app/game-subscription-season/new")
	administrator.fill("season_name", "Summer 2031")
	administrator.fill("start_date", add_days(today(), 10))
	administrator.fill("end_date", add_days(today(), 100))
	administrator.page.get_by_role("button", name="Save").click()
	expect(administrator.indicator).to_have_text("Upcoming")
	expect(administrator.state).to_contain_text("about 0 rows")
	expect(administrator.page.locator(".section-head:visible", has_text="State")).to_have_count(1)
	assert stored("Summer 2031").partition_created
	assert partitions.has_partitions("Summer 2031")


def test_a_cache_is_rebuilt_to_the_end_by_a_worker(administrator, worker, player, season):
	make_records(player, 5)
	frappe.db.sql("ANALYZE TABLE `tabPlayer Memory Tracker`")
	administrator.open_form(DOCTYPE, season)
	administrator.act("Rebuild Cache")
	expect(administrator.dialog).to_contain_text("Records in the season: about 5.")
	administrator.confirm()
	expect(administrator.bar("rebuild")).to_have_attribute("aria-valuenow", "100")
	expect(administrator.state).to_contain_text("Completed: 5 records")
	assert state.cached(player, season) == state.scores(player, season) != {}


@pytest.fixture
def halfway(season, monkeypatch):
	"""A rebuild that waits when it is at half; setting the event lets it go on."""
	for _ in range(2):
		make_records(make_learner().name, 5)
	frappe.db.sql("ANALYZE TABLE `tabPlayer Memory Tracker`")
	frappe.db.commit()
	monkeypatch.setattr(rebuild, "REPORT_SECONDS", 0)
	is_halfway, may_go_on = threading.Event(), threading.Event()

	def progress(doc) -> None:
		is_halfway.set()
		assert may_go_on.wait(4 * WAIT_SECONDS)

	run = in_other_connection(lambda: rebuild.rebuild_cache(season, 1, progress=progress))
	assert is_halfway.wait(WAIT_SECONDS)
	yield may_go_on
	may_go_on.set()
	assert run.result(WAIT_SECONDS)["status"] == "completed"


def test_a_reload_keeps_the_bar(administrator, halfway, season):
	administrator.open_form(DOCTYPE, season)
	expect(administrator.bar("rebuild")).to_have_attribute("aria-valuenow", "50")
	administrator.page.reload()
	expect(administrator.bar("rebuild")).to_have_attribute("aria-valuenow", "50")
	halfway.set()
	expect(administrator.bar("rebuild")).to_have_attribute("aria-valuenow", "100")


def test_a_season_is_archived_by_who_types_its_name(administrator, worker):
	over = make_ended_season(12)
	administrator.open_form(DOCTYPE, over)
	expect(administrator.indicator).to_have_text("Ended")
	administrator.act("Archive")
	expect(administrator.dialog).to_contain_text("Moves 12 records")
	administrator.fill("typed_name", over.lower())
	administrator.confirm()
	expect(administrator.message).to_contain_text("type the season's name")
	assert stored(over).archive_started_at is None
	administrator.close_message()
	administrator.fill("typed_name", over)
	administrator.confirm()
	expect(administrator.indicator).to_have_text("Archived")
	expect(administrator.bar("archive")).to_have_attribute("aria-valuenow", "100")
	wait_until(lambda: stored(over).archived_records == 12, "the season to be archived")


def test_a_season_whose_end_lies_ahead_is_archived_by_who_confirms_it_twice(administrator, worker):
	ahead = make_ended_season(2, end_date=add_days(today(), 9))
	administrator.open_form(DOCTYPE, ahead)
	administrator.act("Archive")
	administrator.fill("typed_name", ahead)
	administrator.confirm()
	asked = administrator.page.locator(".modal.show", has_text="Archive it all the same?")
	expect(asked).to_contain_text(f"Season {ahead} ends on")
	assert stored(ahead).archive_started_at is None
	asked.get_by_role("button", name="Yes").click()
	expect(administrator.indicator).to_have_text("Archived")


def test_the_form_switches_to_its_season(administrator, season):
	following = make_season().name
	administrator.open_form(DOCTYPE, following)
	administrator.act("Switch to This Season")
	expect(administrator.dialog).to_contain_text(f"Season {season} closes and season {following} opens")
	expect(administrator.dialog).to_contain_text("It carries on from no season")
	administrator.confirm()
	expect(administrator.indicator).to_have_text("Active")
	assert (stored(season).is_active, stored(following).is_active) == (0, 1)


def test_what_is_left_of_a_season_is_shown_and_deleted_by_who_types_its_name(administrator, worker):
	old = make_old()
	administrator.open_form(DOCTYPE, old)
	administrator.act("Retention")
	expect(administrator.message).to_contain_text("Nothing of this season is past the retention period.")
	srs_archiver.flag_eligible_for_deletion()
	administrator.open_form(DOCTYPE, old)
	administrator.act("Retention")
	expect(administrator.dialog).to_contain_text(
		"8 × Archived Memory Tracker, 30 × Player Review Log, 120 × Daily Activity"
	)
	administrator.fill("typed_name", old)
	administrator.confirm()
	wait_until(lambda: not state.rows("Daily Activity", season=old), "the season to be deleted")
	assert not state.rows("Player Review Log", season=old)


def test_a_memory_s_charts_are_drawn_and_lead_to_its_answers(administrator, learner, player, season):
	for _ in range(2):
		submit(player, answers(questions=bank_questions()[:1]))
	folds.drain_season(season)
	(tracker,) = state.tracker(player).values()
	administrator.open_form("Player Memory Tracker", tracker.name)
	page = administrator.page
	expect(page.locator(".memora-curve path.line-graph-path")).to_have_count(1)
	expect(page.locator(".memora-curve")).to_contain_text("Target 90 %")
	expect(page.locator(".memora-stability path.line-graph-path")).to_have_count(1)
	expect(page.locator(".memora-history tbody tr")).to_have_count(2)
	expect(page.locator(".created-by:visible")).to_contain_text(learner.user)  # not him, who only looks
	expect(page.get_by_text(f"{learner.user} created this").last).to_be_visible()
	page.locator(".memora-history tbody a").first.click()
	page.get_by_role("button", name="Answers of This Submission (1)").click()
	expect(page.locator(".list-row-container .list-row")).to_have_count(1)
