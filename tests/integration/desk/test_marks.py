"""Whatever learners, authors, decks and host apps write is shown as text, on every screen of the desk and of learners."""

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import frappe
import pytest
from frappe.tests.utils import patch_hooks
from frappe.utils.password import update_password
from playwright.sync_api import Browser

from memora.services.anki import importer
from memora.services.figures import activity, due_forecast
from memora.services.folding import folds
from memora.services.learning.plain_names import is_harmless
from tests.integration import marks, state
from tests.integration.anki_decks import make_import, note, write_deck
from tests.integration.browser.conftest import PASSWORD
from tests.integration.client import Client
from tests.integration.desk import screens
from tests.integration.desk.screens import Watch
from tests.integration.factories import bank_questions, make_learner, make_topic, site_now
from tests.integration.marks import KINDS, MarkedQuestions, mark
from tests.integration.submitting import answers, submit

ROLE = "System Manager"  # may print, which Memora Managers may not do with everything
SEASON = "Game Subscription Season"
# Frappe 16.4 asks for the title of a form that has been left meanwhile.
FRAPPES_OWN_ERROR = "Cannot read properties of undefined (reading 'name')"
OPTIONS = [{"option_text": "right", "is_correct": 1}, {"option_text": "wrong"}]


@pytest.fixture(autouse=True)
def host_app(monkeypatch) -> None:
	monkeypatch.setitem(sys.modules, "memora.host_app", sys.modules[MarkedQuestions.__module__])


def fill_by_learner(web) -> Iterator[str]:
	yield from marks.send_marks(Client(web.url, make_learner().token), bank_questions()[0])


def make_marked_learner() -> str:
	"""Returns a learner who has marked her own name."""
	learner = make_learner()
	user = frappe.get_doc("User", learner.user)
	user.update({field: mark(f"User.{field}", "attribute") for field in ("first_name", "last_name")})
	user.save(ignore_permissions=True)
	frappe.db.commit()
	return learner.name


def fill_by_authors(user: str) -> Iterator[str]:
	make_topic("Marked", "Marked")
	needed = {
		"Game Topic": {"subject": "Marked"},
		"Game Question": {"topic": "Marked: Marked", "options": OPTIONS},
		SEASON: {"start_date": "2001-01-01", "end_date": "2001-12-31"},
		"Anki Import": {"subject": "Marked", "file": "/private/files/none.apkg"},
	}
	frappe.set_user(user)
	for doctype in sorted(marks.written_by(ROLE), key=_comes_last):
		yield from marks.write_marks(doctype, needed.get(doctype, {}))
		yield from marks.told()
	frappe.set_user("Administrator")


def _comes_last(doctype: str) -> tuple[int, str]:
	"""Sorts DocTypes behind those that they link to."""
	links = {field.options for field in frappe.get_meta(doctype).get_link_fields()} - {doctype}
	return sum(_comes_last(other)[0] + 1 for other in links if other.startswith("Game ")), doctype


def fill_by_deck(path: Path) -> Iterator[str]:
	"""Previews and imports a deck."""
	notes = [
		note(
			mark("deck's front", kind, shows_html=True),
			mark("deck's back", kind, shows_html=True),
			guid=mark("deck's guid", kind),
			tags=(mark("deck's tag", "attribute without blanks"), "tag"),
		)
		for kind in KINDS
	]
	doc = make_import(write_deck(path, *notes, deck=mark("deck's name", "markup")), with_tags=1)
	doc.preview()
	yield from marks.told()
	importer.run_import(doc.name)
	frappe.db.commit()


def fill_by_host_app() -> None:
	player = make_marked_learner()
	with patch_hooks({"memora_question_source": ["memora.host_app.MarkedQuestions"]}):
		result = submit(player, answers(quality=1, questions=[MarkedQuestions.ID]))
	assert result["processed"] == 1
	folds.drain(site_now())
	activity.sum_up()
	due_forecast.compute_forecast(frappe.db.get_value(SEASON, {"is_active": 1}))
	sql = "UPDATE `tabPlayer Memory Tracker` SET lapses = 99 WHERE player = %s"  # so that a report names it
	frappe.db.sql(sql, player)
	frappe.db.commit()


def visit_as_learner(chromium: Browser, url: str) -> str:
	"""Returns what the learner's pages made of marks."""
	learner = make_learner().user
	update_password(learner, PASSWORD)
	frappe.db.commit()
	context = chromium.new_context(base_url=url)
	watch, page = Watch(context), context.new_page()
	assert page.request.post("/api/method/login", form={"usr": learner, "pwd": PASSWORD}).ok
	subjects = [f"?subject={quote(name)}" for name in marks.NAMES["Game Subject"].values()]
	for address in (path + asked for path in screens.pages() for asked in ("", *subjects)):
		watch.visit(page, address, lambda to=address: page.goto(to))
		for _ in range(4):  # reveals answers, and goes on
			page.keyboard.press("Enter")
			watch.look(page)
	context.close()
	return watch.result()


def test_no_mark_is_more_than_text(sit_down, chromium, web, tmp_path):
	administrator = sit_down(ROLE)
	said = [
		*fill_by_learner(web),
		*fill_by_authors(administrator.name),
		*fill_by_deck(tmp_path / "marks.apkg"),
	]
	fill_by_host_app()
	assert {doctype for doctype, _name in screens.forms()} >= set(marks.written_by(ROLE))
	assert len(set(said)) > 50
	screens.show_all_columns(administrator.name)
	watch = Watch(administrator.page.context)
	screens.open_desk(administrator.page, watch)
	screens.show_messages(administrator.page, watch, set(said))
	assert not watch.result(), watch.result()
	administrator.errors[:] = [error for error in administrator.errors if error != FRAPPES_OWN_ERROR]
	assert not visit_as_learner(chromium, web.url)
	assert harmful_rows() == []


def harmful_rows() -> list[str]:
	"""Returns the texts that answers have left in rows and that are markup or formulas."""
	return [
		f"{doctype}.{field.fieldname}: {row[field.fieldname]}"
		for doctype in (
			"Player Memory Tracker",
			"Player Review Log",
			"Activity Count",
			"Daily Activity Subject",
		)
		for field in frappe.get_meta(doctype).fields
		for row in state.rows(doctype)
		if field.fieldtype == "Data" and row[field.fieldname] and not is_harmless(row[field.fieldname])
	]


def test_a_mark_that_is_stored_raw_is_found(sit_down, player):
	"""Past the doors, Frappe shows it as HTML. So what comes in has to be looked at."""
	administrator = sit_down(ROLE)
	submit(player, answers(1))
	raw = mark("Player Review Log.submission_id", "short markup")
	frappe.db.sql("UPDATE `tabPlayer Review Log` SET submission_id = %s WHERE player = %s", (raw, player))
	frappe.db.commit()
	watch = Watch(administrator.page.context)
	answer = [form for form in screens.forms() if form[0] == "Player Review Log"]
	screens.print_forms(administrator.page, watch, answer)
	assert "short markup in Player Review Log.submission_id runs" in watch.result()
	assert "becomes <b>" in watch.result()
