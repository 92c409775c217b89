"""Takes each picture: a function for every name in `screenshots.PICTURES`."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import frappe
import genanki
from playwright.sync_api import Browser, Page, expect

from devtools import processes
from memora import demo_data
from memora.services.anki import importer
from memora.services.cache import rebuild
from screenshots import camera, school
from screenshots.school import School

UNREADABLE = "[{}]"  # a payload that no fold can read


class Studio:
	"""All that a picture needs: the running site, a browser, the names of the school's seasons, and the folder for the files."""

	def __init__(self, chromium: Browser, url: str, names: School, folder: Path) -> None:
		self.chromium, self.url, self.school, self.folder = chromium, url, names, folder

	def learner(self, user: str, **options):
		return self._window(user, {**camera.PHONE, **options})

	def desk(self, height: int = camera.DESK["viewport"]["height"]):
		viewport = {**camera.DESK["viewport"], "height": height}
		return self._window(school.email(school.MANAGER), {**camera.DESK, "viewport": viewport})

	def _window(self, user: str, options: dict):
		return camera.window(self.chromium, self.url, user, school.PASSWORD, **options)

	def take(self, page: Page, name: str) -> None:
		camera.take(page, self.folder / f"{name}.png")


# The learner's page


def review_question(studio: Studio) -> None:
	capitals = {row.country: row.capital for row in demo_data.read_capitals()}
	with studio.learner(school.email(school.FIRST)) as page:
		page.goto(f"/review?subject={demo_data.SUBJECT}")
		for _ in range(6):
			country = page.locator(".question b").inner_text()
			page.locator(".choice").get_by_text(capitals[country], exact=True).click()
			page.get_by_role("button", name="Next").click()
		expect(page.locator(".choice:enabled")).to_have_count(4)
		expect(page.locator("#state-text")).to_have_text("Saved")
		studio.take(page, "review-question")


def review_grades(studio: Studio) -> None:
	due = {"subject": "Biology", "next_review_date": ("<=", frappe.utils.now())}
	users = frappe.get_all("Player Memory Tracker", filters=due, order_by="player", limit=1, pluck="player")
	with studio.learner(*users, color_scheme="dark") as page:
		page.goto("/review?subject=Biology")
		page.get_by_role("button", name="Show answer").click()
		expect(page.locator(".grade")).to_have_count(4)
		studio.take(page, "review-grades")


def review_arabic(studio: Studio) -> None:
	with studio.learner(school.email(school.IN_ARABIC)) as page:
		page.goto("/review")
		page.locator(".choice").first.click()
		expect(page.locator(".verdict")).to_be_visible()
		studio.take(page, "review-arabic")


# The desk


def workspace(studio: Studio) -> None:
	with studio.desk(950) as page:
		page.goto("/app/memora")
		expect(page.locator(".dashboard-widget-box svg.frappe-chart")).to_have_count(4)
		studio.take(page, "workspace")


def retention(studio: Studio) -> None:
	with studio.desk() as page:
		page.goto("/app/query-report/Retention by Subject")
		expect(page.locator(".chart-wrapper svg.frappe-chart")).to_be_visible()
		expect(page.locator(".dt-row").first).to_be_visible()
		studio.take(page, "retention")


def memory(studio: Studio) -> None:
	with studio.desk(1080) as page:
		page.goto(f"/app/player-memory-tracker/{_a_memory(studio.school.season)}")
		expect(page.locator(".memora-curve path.line-graph-path")).to_have_count(1)
		expect(page.locator(".memora-history tbody tr").first).to_be_visible()
		studio.take(page, "memory")


def _a_memory(season: str) -> str:
	"""Returns the record with the most answers that has one lapse and is not due yet."""
	filters = {
		"season": season,
		"subject": "History",
		"lapses": 1,
		"next_review_date": (">", frappe.utils.now()),
	}
	found = frappe.get_all("Player Memory Tracker", filters=filters, order_by="reps desc, name", limit=1)
	return found[0].name


def season(studio: Studio) -> None:
	"""Takes the picture while this process rebuilds the cache. The rebuild waits until the picture is taken."""
	taken: list[bool] = []

	def look(run: frappe.model.document.Document) -> None:
		if run.records < 0.6 * run.estimated_records or taken:
			return
		taken.append(True)
		with studio.desk() as page:
			_open_season(page, studio.school.season)
			expect(page.locator(".memora-progress[data-kind=rebuild]")).to_be_visible()
			studio.take(page, "season")

	rebuild.REPORT_SECONDS = 0  # in this process: `look` must be called after each batch
	rebuild.rebuild_cache(studio.school.season, batch_size=1, restart=True, progress=look)


def season_archive(studio: Studio) -> None:
	with studio.desk() as page:
		_open_season(page, studio.school.last_season)
		page.get_by_role("button", name="Actions").first.click()
		page.locator(".dropdown-item:visible").get_by_text("Archive", exact=True).click()
		expect(page.locator(".modal.show")).to_contain_text("Moves")
		studio.take(page, "season-archive")


def _open_season(page: Page, name: str) -> None:
	page.goto(f"/app/game-subscription-season/{quote(name)}")
	expect(page.locator(".memora-state")).to_contain_text("rows")


def write_jobs(studio: Studio) -> None:
	"""Makes folded submissions, one that can't be folded, and some that wait because the worker has stopped."""
	folded, broken, *waiting = school.with_something_due(5)
	school.answer(folded)
	school.answer(broken)
	frappe.db.set_value("Review Outbox", {"player": broken}, "payload", UNREADABLE)
	frappe.db.commit()  # the worker must see the broken submission
	with processes.worker(["srs_write"]):
		school.wait_until_folded()
	for learner in waiting:
		school.answer(learner)
	with studio.desk(640) as page:
		page.goto("/app/srs-write-job")
		expect(page.locator(".list-row").first).to_be_visible()
		studio.take(page, "write-jobs")


def anki_import_form(studio: Studio) -> None:
	with TemporaryDirectory() as folder:
		name = importer.upload_package(_write_deck(Path(folder)), demo_data.SUBJECT, None, None)
	importer.preview_import(frappe.get_doc("Anki Import", name))
	frappe.db.commit()  # the web server must see the import
	with studio.desk(1240) as page:
		page.goto(f"/app/anki-import/{name}")
		expect(page.get_by_role("button", name="Start Import")).to_be_visible()
		studio.take(page, "anki-import")


def _write_deck(folder: Path) -> Path:
	"""Writes a deck such as teachers have: basic, reversed and cloze notes, and one note that makes no question."""
	notes = {
		"Seas": [
			genanki.Note(genanki.CLOZE_MODEL, ["The {{c1::Bosporus}} joins the {{c2::Black Sea}} to the Marmara.", ""]),
			genanki.Note(genanki.BASIC_MODEL, ["Which is the largest ocean?", "The Pacific"]),
			genanki.Note(genanki.BASIC_MODEL, ["Which sea has no coast?", "The Sargasso Sea"]),
		],
		"Mountains": [
			genanki.Note(genanki.BASIC_AND_REVERSED_CARD_MODEL, ["Highest mountain of Africa", "Kilimanjaro"]),
			genanki.Note(genanki.BASIC_MODEL, ["Which mountains part Europe from Asia?", "The Urals"]),
			genanki.Note(genanki.BASIC_MODEL, ["Longest mountain range on land?", ""]),
		],
	}  # fmt: skip
	decks = [genanki.Deck(1_700_000_000 + n, f"Geography::{title}") for n, title in enumerate(notes)]
	for deck, of_deck in zip(decks, notes.values(), strict=True):
		for note in of_deck:
			deck.add_note(note)
	genanki.Package(decks).write_to_file(folder / "geography.apkg")
	return folder / "geography.apkg"


# The order matters: pictures that change data come last, since others would show the change.
TAKE: dict[str, Callable[[Studio], None]] = {
	"workspace": workspace,
	"retention": retention,
	"memory": memory,
	"season": season,
	"season-archive": season_archive,
	"anki-import": anki_import_form,
	"review-grades": review_grades,
	"write-jobs": write_jobs,
	"review-question": review_question,
	"review-arabic": review_arabic,
}
