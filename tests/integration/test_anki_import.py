"""Decks of Anki: what becomes a question, with its media, tags and history, and what is refused or reported."""

import json
import sqlite3
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import frappe
import genanki
import pytest
from frappe.utils import strip_html

from memora.exceptions import (
	InvalidAnkiImport,
	InvalidAnkiPackage,
	JobStateError,
	NoActiveSeason,
	QueueUnavailable,
)
from memora.services import site_time
from memora.services.anki import importer, media, package
from memora.services.anki.cards import cloze
from memora.services.figures import activity
from memora.services.learning import reviews, submissions
from memora.services.learning.answers import Response
from memora.services.operations import admin_jobs, replay
from tests.integration import bench_commands, state
from tests.integration.anki_decks import (
	EXPORTED_BY_ANKI,
	SUBJECT,
	make_import,
	note,
	png,
	write_deck,
	write_old,
)
from tests.integration.connections import in_other_connection
from tests.integration.factories import STANDING_SEASON, make_learner, make_topic
from tests.integration.waiting import wait_until

DOCTYPE = "Anki Import"
REVERSED = genanki.BASIC_AND_REVERSED_CARD_MODEL
CLOZE = genanki.CLOZE_MODEL


@pytest.fixture
def deck(tmp_path) -> Path:
	"""Six questions of four notes, a picture shown by two of them, one sound, and a file that nothing shows."""
	return write_deck(
		tmp_path / "geo.apkg",
		note(
			'France <img src="a%20map.png">', "Paris<br>[sound:paris.mp3]", guid="fr", tags=("geo", "leech")
		),
		note("Italy", 'Rome <img src="a map.png">', guid="it", model=REVERSED),
		note("{{c1::Berlin::city}} is in {{c2::Germany}}", "since 1990", guid="de", model=CLOZE),
		note("<p dir='rtl'>فرنسا</p>", "باريس", guid="ar"),
		media={"a map.png": png(1), "paris.mp3": b"ID3 sound", "unused.png": png(2)},
	)


def imported() -> list:
	return frappe.get_all(
		"Game Question",
		filters={"name": ("like", "anki-%")},
		fields=["name", "question", "answer", "topic", "subject", "position", "_user_tags"],
		order_by="position, name",
	)


def files() -> list:
	return frappe.get_all(
		"File",
		filters={"attached_to_doctype": "Game Question"},
		fields=["file_url", "attached_to_name", "is_private"],
	)


def fresh(doc):
	return frappe.get_doc(DOCTYPE, doc.name)


def run(path: Path, **values):
	"""The Anki Import after its job, done here."""
	doc = make_import(path, **values)
	importer.run_import(doc.name)
	return fresh(doc)


# What becomes a question


def test_a_deck_becomes_questions(deck):
	doc = run(deck)
	assert (doc.status, doc.notes, doc.questions, doc.created, doc.skipped) == ("Completed", 4, 6, 6, 0)
	questions = imported()
	assert [strip_html(q.question).strip() for q in questions] == [
		*("France", "Italy", "Rome", "[city] is in Germany", "Berlin is in […]", "فرنسا"),
	]
	assert strip_html(questions[2].answer).strip() == "Italy"
	assert questions[4].answer.startswith("Berlin is in <b>Germany</b>")
	assert {(q.subject, q.topic) for q in questions} == {(SUBJECT, f"{SUBJECT}: Geo – Europe")}
	assert 'dir="rtl"' in questions[5].question
	assert questions[0]._user_tags == ",geo"


def test_media_become_public_files_of_the_questions_that_show_them(deck):
	doc = run(deck)
	assert doc.media == 2
	shown = {url for q in imported() for url in _addresses(q.question + q.answer)}
	assert {f.file_url for f in files()} == shown
	assert {f.is_private for f in files()} == {0}
	assert len(files()) == 4, "the picture belongs to each of three questions, the sound to one"
	for url in shown:
		assert url.startswith("/files/anki-")
		assert Path(frappe.get_site_path("public", url[1:])).read_bytes() in (png(1), b"ID3 sound")


def _addresses(html: str) -> list[str]:
	return [part.split('"')[0] for part in html.split('src="')[1:]]


def test_what_anki_exports_today_is_read():
	doc = run(EXPORTED_BY_ANKI)
	assert (doc.status, doc.questions, doc.media, doc.skipped) == ("Completed", 5, 1, 0)
	first, *_others = imported()
	assert strip_html(first.question).strip() == "Capital of France?"
	assert set(first._user_tags.strip(",").split(",")) == {"geo", "capitals::europe"}
	assert len(files()) == 1


def test_a_second_import_changes_nothing_and_a_changed_note_changes_its_question(deck, tmp_path):
	run(deck)
	before = imported()
	again = run(deck)
	assert (imported(), len(files())) == (before, 4)
	assert (again.created, again.updated, again.unchanged) == (0, 0, 6)
	elsewhere = make_topic(SUBJECT, "Sorted")
	frappe.db.set_value("Game Question", before[0].name, "topic", elsewhere)
	changed = write_deck(tmp_path / "new.apkg", note("France?", "Paris", guid="fr"))
	assert (lambda d: (d.created, d.updated))(run(changed)) == (0, 1)
	question = frappe.get_doc("Game Question", before[0].name)
	assert (question.question, question.topic, question.position) == ("France?", elsewhere, 1)
	assert len(imported()) == 6


def test_topics_are_those_chosen(deck):
	chosen, other = make_topic(SUBJECT, "Chosen"), make_topic("Another", "Topic")
	doc = make_import(deck)
	doc.run_method("preview")
	doc.decks[0].topic = other
	with pytest.raises(InvalidAnkiImport, match="Another: Topic belongs to the subject Another"):
		doc.save()
	doc = fresh(doc)
	doc.decks[0].topic = chosen
	doc.save()
	frappe.db.commit()
	importer.run_import(doc.name)
	assert {q.topic for q in imported()} == {chosen}


def test_names_too_long_or_not_allowed_here(tmp_path):
	tags = ("t" * 200, "a<b", "good")
	path = write_deck(tmp_path / "long.apkg", note("Q", "A", guid="1", tags=tags), deck="<D>::" + "d" * 300)
	doc = run(path)
	assert (doc.status, doc.decks[0].questions) == ("Completed", 1)
	(question,) = imported()
	assert question._user_tags == ",good"
	assert question.topic.startswith(f"{SUBJECT}: (D) – ddd")


@pytest.mark.parametrize(
	("text", "number", "asked", "told"),
	[
		("{{c1::a}} {{c2::b}}", 1, "<b>[…]</b> b", "<b>a</b> b"),
		("{{c1::a {{c2::b}}::hint}}", 1, "<b>[hint]</b>", "<b>a b</b>"),
		("{{c1::a {{c2::b}}}}", 2, "a <b>[…]</b>", "a <b>b</b>"),
		("{{c1::a", 1, "", ""),
		("}} {{c1::a}}", 1, "}} <b>[…]</b>", "}} <b>a</b>"),
	],
)
def test_clozes(text, number, asked, told):
	assert (cloze(text, number, False), cloze(text, number, True)) == (asked, told)


def test_templates_with_conditions_and_filters(tmp_path):
	model = genanki.Model(
		1_700_000_002,
		"Own",
		fields=[{"name": "Word"}, {"name": "Hint"}, {"name": "Meaning"}],
		templates=[
			{
				"name": "Card",
				"qfmt": "{{Word}} {{type:Meaning}}",
				"afmt": '{{FrontSide}}<hr id="answer">{{text:Meaning}} {{#Hint}}{{Unknown}}({{Hint}}){{/Hint}}{{^Hint}}{{Deck}}{{/Hint}}',
			}
		],
	)
	path = write_deck(
		tmp_path / "own.apkg",
		note("mare", "water", "<i>sea</i>", guid="1", model=model),
		note("sol", "", "sun", guid="2", model=model),
	)
	run(path)
	assert [(q.question.strip(), q.answer) for q in imported()] == [
		("mare", "sea (water)"),
		("sol", "sun Geo::Europe"),
	]


# The preview


def test_a_preview_says_what_would_be_and_changes_nothing(deck):
	doc = make_import(deck)
	doc.run_method("preview")
	frappe.db.commit()
	doc = fresh(doc)
	assert (doc.status, doc.notes, doc.questions, doc.media, doc.created) == ("Draft", 4, 6, 2, 0)
	assert [(row.deck, row.questions) for row in doc.decks] == [("Geo::Europe", 6)]
	assert json.loads(doc.sample)[0] == {"deck": "Geo::Europe", "question": "France", "answer": "Paris"}
	assert (imported(), files()) == ([], [])


def test_what_makes_no_question_is_reported_and_the_rest_imported(tmp_path):
	path = write_deck(
		tmp_path / "bad.apkg",
		note("good", "yes", guid="good"),
		note("good", "yes", guid="twin"),
		note(" <br> ", "nothing asked", guid="empty-front"),
		note("nothing told", "&nbsp;", guid="empty-back"),
		note("<script>alert(1)</script>", "only a script", guid="script"),
		note('<img src="drawing.svg">', "only a drawing", guid="svg"),
		note(
			'half <b>bold <img src="../../etc/passwd" onerror="alert(1)">', "x<script>alert(1)", guid="harm"
		),
		note("gone", '<img src="gone.png"> text', guid="gone"),
		note("film", "[sound:film.mp4] text", guid="film"),
		media={"drawing.svg": b"<svg onload='alert(1)'/>", "film.mp4": b"film"},
	)
	doc = run(path)
	problems = {row.guid: row.reason for row in doc.problems}
	assert (doc.status, doc.created, doc.skipped) == ("Completed", 4, 5)
	for guid, reason in {
		"twin": "The note good has the same question and answer",
		"empty-front": "The front of card 1 is empty",
		"empty-back": "The back of card 1 is empty",
		"script": "front of card 1 is empty",
		"film": "film.mp4 has a file type that is not imported",
		"svg": "drawing.svg has a file type that is not imported",
		"harm": "../../etc/passwd is not in the file",
		"gone": "gone.png is not in the file",
	}.items():
		assert reason in problems[guid]
	texts = " ".join(q.question + q.answer for q in imported())
	assert "half <b>bold" in texts
	assert not [danger for danger in ("script", "onerror", "passwd", "gone.png") if danger in texts]
	assert files() == []


def test_notes_that_do_not_fit_their_type(tmp_path):
	path = write_old(
		tmp_path / "old.apkg", [("short", "one field"), ("fits", "front\x1fback"), ("lone", "a\x1fb")]
	)
	with _collection(path) as connection:
		connection.execute("DELETE FROM cards WHERE nid = 3")
		connection.execute("INSERT INTO notes VALUES (4, 'typeless', 77, 'a' || char(31) || 'b', '')")
		connection.execute("INSERT INTO cards VALUES (4, 4, 1, 0, 0), (5, 2, 1, 0, 9)")
	doc = run(path)
	assert {row.guid: row.reason for row in doc.problems} == {
		"short": "The numbers of fields differ: 1 in the note, 2 in its type Basic.",
		"lone": "The note has no cards.",
		"typeless": "The type of the note is not in the file.",
		"fits": "The note type Basic has no card 10.",
	}
	assert [q.question for q in imported()] == ["front"]


class _collection:
	"""A connection to the collection of an old .apkg; what it changes is put back."""

	def __init__(self, path: Path) -> None:
		self.path, self.file = path, path.with_suffix(".changed")

	def __enter__(self) -> sqlite3.Connection:
		with zipfile.ZipFile(self.path) as archive:
			self.file.write_bytes(archive.read("collection.anki2"))
		self.connection = sqlite3.connect(self.file)
		return self.connection

	def __exit__(self, *_error) -> None:
		self.connection.commit()
		self.connection.close()
		with zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED) as archive:
			archive.write(self.file, "collection.anki2")


# What is no deck


def _zip(path: Path, **members: bytes) -> None:
	with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
		for name, content in members.items():
			archive.writestr(name.replace("__", "."), content)


def _encrypted(path: Path) -> None:
	_zip(path, collection__anki2=b"x")
	data = bytearray(path.read_bytes())
	data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag, in the central directory
	path.write_bytes(data)


def _endless(path: Path) -> None:
	write_old(path, [("1", "a\x1fb")])
	with _collection(path) as connection:
		connection.executescript(
			"""DROP TABLE cards; CREATE VIEW cards AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
			SELECT id, -1 AS nid, 1 AS did, 0 AS odid, 0 AS ord FROM n"""
		)


BROKEN = {
	"not a zip file": lambda path: path.write_bytes(b"not a zip"),
	"The file is encrypted": _encrypted,
	"holds no collection": lambda path: _zip(path, readme__txt=b"hello"),
	"format 9 is newer": lambda path: _zip(path, meta=b"\x08\x09", collection__anki21b=b""),
	"collection.anki2 in the file is larger than 64 MB": lambda path: _zip(
		path, collection__anki2=bytes(100 << 20)
	),
	"file is not a database": lambda path: _zip(path, collection__anki2=b"hello" * 1000),
	"no such table: col": lambda path: _zip(path, collection__anki2=b""),
	"can't be read": lambda path: _zip(path, meta=b"\x08\x03", collection__anki21b=b"no zstandard frame"),
	"not as Anki writes": lambda path: write_old(path, [], media=["no", "object"]),
	"interrupted": _endless,
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_file_that_is_no_deck_is_refused_by_name(reason, tmp_path, monkeypatch):
	monkeypatch.setattr(package, "READ_SECONDS", 0.2)
	path = tmp_path / "broken.apkg"
	BROKEN[reason](path)
	doc = make_import(path)
	with pytest.raises(InvalidAnkiPackage, match=reason) as caught:
		doc.run_method("preview")
	assert caught.value.http_status_code == 400
	frappe.db.rollback()
	result = importer.run_import(doc.name)
	assert (result["status"], fresh(doc).status) == ("Failed", "Failed")
	assert reason in fresh(doc).error
	assert (imported(), files()) == ([], [])
	assert not frappe.db.exists("Game Topic", {"subject": SUBJECT, "topic_name": ("!=", "Standing")})


def test_a_bomb_among_the_media_is_left_out(tmp_path):
	path = write_old(
		tmp_path / "bomb.apkg",
		[("1", 'picture <img src="bomb.png">\x1fback')],
		media={"0": "bomb.png"},
		files={"0": bytes(60 << 20)},
	)
	doc = run(path)
	assert "bomb.png is larger than" in doc.problems[0].reason
	assert "src" not in imported()[0].question


def test_more_media_than_are_taken(deck, monkeypatch):
	monkeypatch.setattr(media, "MAX_FILES", 1)
	doc = make_import(deck)
	with pytest.raises(InvalidAnkiPackage, match="more than 1 media files"):
		doc.run_method("preview")


def test_a_file_that_is_gone(deck):
	make_import(deck)
	own = frappe.get_last_doc(DOCTYPE)
	frappe.db.set_value(DOCTYPE, own.name, "file", "/private/files/no-such.apkg")
	with pytest.raises(InvalidAnkiImport, match=r"no-such\.apkg"):
		own.run_method("preview")


# The job


def test_a_run_is_cancelled_and_the_next_goes_on(deck, monkeypatch):
	monkeypatch.setattr(importer, "BATCH", 2)
	doc = make_import(deck)

	# the request that cancels ends with a commit
	def cancelling(done: int) -> None:
		if done == 2:
			in_other_connection(
				lambda: (frappe.get_doc(DOCTYPE, doc.name).cancel_import(), frappe.db.commit())
			).result(20)

	assert importer.run_import(doc.name, cancelling)["status"] == "Cancelled"
	assert (len(imported()), fresh(doc).created) == (2, 2)
	frappe.db.set_value(DOCTYPE, doc.name, "cancel_requested", 0)
	importer.run_import(doc.name)
	doc = fresh(doc)
	assert (doc.status, doc.created, doc.unchanged) == ("Completed", 4, 2)
	assert sorted(q.position for q in imported()) == [1, 2, 3, 4, 5, 6]


def test_while_it_runs_nobody_starts_changes_or_deletes_it(deck):
	doc = make_import(deck)
	refused = []

	def interfere(_done: int) -> None:
		for action in ("start", "preview", "save", "delete"):
			with pytest.raises(JobStateError, match="is running"):
				in_other_connection(
					lambda action=action: getattr(frappe.get_doc(DOCTYPE, doc.name), action)()
				).result(20)
			refused.append(action)

	assert importer.run_import(doc.name, interfere)["status"] == "Completed"
	assert "delete" in refused
	with pytest.raises(JobStateError, match="is not running"):
		doc.cancel_import()


def test_one_whose_worker_was_killed_is_started_again(deck):
	doc = make_import(deck)
	frappe.db.set_value(DOCTYPE, doc.name, "status", "Running")
	assert doc.start()["status"] == "queued"
	with pytest.raises(JobStateError, match="is running"):
		doc.start()
	doc.cancel_import()
	assert (importer.run_import(doc.name)["status"], imported()) == ("Cancelled", [])


def test_a_worker_imports_what_a_manager_starts(deck, long_worker):
	manager = make_learner(roles=["Memora Manager"]).name
	frappe.set_user(manager)
	doc = make_import(deck)
	started = doc.start()
	assert started["status"] == "queued"
	wait_until(lambda: frappe.db.rollback() or fresh(doc).status == "Completed", "the import")
	assert fresh(doc).created == 6
	assert {frappe.db.get_value("Game Question", q.name, "owner") for q in imported()} == {manager}


def test_without_a_queue_it_is_not_queued(deck, monkeypatch):
	def refuse() -> None:
		raise admin_jobs.RedisError("nobody listens")

	monkeypatch.setattr(admin_jobs, "reach_queue", refuse)
	doc = make_import(deck)
	with pytest.raises(QueueUnavailable):
		doc.start()
	assert fresh(doc).status == "Draft"


# The command


def test_the_command_says_what_would_be_and_imports(deck):
	before = frappe.db.count(DOCTYPE)
	exit_code, found = command(str(deck), "--dry-run")
	assert (exit_code, found["questions"], found["decks"], found["problems"]) == (
		0,
		6,
		{"Geo::Europe": 6},
		[],
	)
	assert (frappe.db.count(DOCTYPE), imported()) == (before, [])
	exit_code, refused = command(str(deck), "--subject", "No Such Subject")
	assert (exit_code, "No Such Subject" in refused["error"]) == (1, True)
	make_topic(SUBJECT, "Standing")
	frappe.db.commit()
	exit_code, done = command(str(deck), "--subject", SUBJECT, "--topic", f"{SUBJECT}: Standing")
	assert (exit_code, done["status"], done["created"]) == (0, "Completed", 6)
	frappe.db.rollback()
	assert {q.topic for q in imported()} == {f"{SUBJECT}: Standing"}


def command(*args: str) -> tuple[int, dict]:
	frappe.db.rollback()
	done = bench_commands.run("--site", frappe.local.site, "memora", "import-anki", *args, "--json")
	assert done.stdout, done.exception
	return done.exit_code, json.loads(done.stdout)


# History

DAY_MS = 86_400_000


@pytest.fixture
def old_deck(tmp_path) -> Path:
	"""Two cards learnt long ago; rows of the log that are no answers, or of no card of the file."""
	begin = int((datetime.now() - timedelta(days=60)).timestamp() * 1000)
	answers = [(1, 0, 3), (2, 0, 1), (2, 1, 3), (1, 4, 4), (2, 5, 2), (1, 20, 1)]
	log = [(begin + day * DAY_MS + card, card, button, 4000, 1) for card, day, button in answers]
	log += [
		(begin + 1, 1, 0, 0, 4),
		(begin + 2, 1, 3, 0, 3),
		(begin + 3, 99, 3, 0, 1),
		(begin + 400 * DAY_MS, 1, 3, 0, 1),
	]
	return write_old(tmp_path / "old.apkg", [("a", "A\x1f1"), ("b", "B\x1f2"), ("c", "C\x1f3")], revlog=log)


def test_a_learners_history_is_journalled_and_replayed(old_deck, player, season):
	doc = run(old_deck, learner=player)
	assert (doc.status, doc.created, doc.reviews_imported) == ("Completed", 3, 6)
	journal = sorted(state.journal(player), key=lambda row: row.reviewed_at)
	assert [row.quality for row in journal] == [4, 1, 4, 5, 3, 1]
	assert [row.kind for row in journal] == ["Learn", "Learn", *["Review"] * 4]
	assert {row.source for row in journal} == {"Import"}
	assert all(row.reviewed_at < site_time.naive_now() - timedelta(days=35) for row in journal)
	rows = state.tracker(player)
	assert sorted(row.reps for row in rows.values()) == [3, 3]
	assert state.outbox(player) == []
	report = replay.replay_season(season, player)
	assert (report.answers, report.differences, report.unjournalled) == (6, 0, 0)
	activity.sum_up()
	first, last = journal[0].reviewed_at.date() - timedelta(days=1), site_time.naive_now().date()
	counted = [day.counts for day in activity.by_day(season, first, last)]
	assert (sum(c.answers for c in counted), sum(c.reviews for c in counted)) == (6, 4)
	due = {q["question_id"] for q in reviews.read_reviews(player)["questions"]}
	assert due == {q for q, row in rows.items() if row.next_review_date <= site_time.naive_now()}


def test_a_second_import_of_a_history_adds_nothing(old_deck, player, season):
	run(old_deck, learner=player)
	before = (state.journal(player), state.tracker(player))
	assert run(old_deck, learner=player).reviews_imported == 0
	assert (state.journal(player), state.tracker(player)) == before


def test_a_question_that_she_has_answered_here_keeps_its_schedule(old_deck, player):
	run(old_deck)
	answered = imported()[0].name
	submissions.submit(player, [Response(answered, 4)])
	doc = run(old_deck, learner=player)
	assert doc.reviews_imported == 3
	assert len([row for row in state.journal(player) if row.question_id == answered]) == 1


def test_a_history_needs_an_active_season(old_deck, player):
	frappe.db.set_value("Game Subscription Season", STANDING_SEASON, "is_active", 0)
	doc = make_import(old_deck, learner=player)
	with pytest.raises(NoActiveSeason):
		doc.run_method("preview")
	assert importer.run_import(doc.name)["status"] == "Failed"
	assert imported() == []
