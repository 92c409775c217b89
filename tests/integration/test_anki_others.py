"""Decks of Anki and other people's questions: a preview names whose would change, and an import leaves them unless told."""

from pathlib import Path

import frappe
import pytest

from memora.services.anki import importer
from tests.integration.anki_decks import files, fresh, imported, make_import, note, png, run, write_deck
from tests.integration.factories import make_learner

PICTURE = '<img src="map.png">'


def deck(path: Path, answer: str, tags: tuple[str, ...] = ()) -> Path:
	notes = [note("Capital?", answer, guid="fr", tags=tags), note("River?", f"Seine {PICTURE}", guid="river")]
	return write_deck(path, *notes, media={"map.png": png(7)})


@pytest.fixture
def others_deck(tmp_path) -> Path:
	"""A deck that Administrator has imported, with another answer, in the hands of a manager."""
	run(deck(tmp_path / "first.apkg", "Paris"))
	colleague = make_learner(roles=["Memora Manager"]).user
	frappe.db.commit()
	path = deck(tmp_path / "second.apkg", "Lyon", tags=("changed",))
	frappe.set_user(colleague)
	return path


def answers() -> set[str]:
	return {question.answer.split()[0] for question in imported()}


def test_a_preview_says_whose_questions_would_change(others_deck):
	doc = make_import(others_deck)
	doc.run_method("preview")
	assert fresh(doc).others == "1 × Administrator"


def test_questions_of_others_stay(others_deck):
	doc = run(others_deck)
	assert (doc.status, doc.kept, doc.unchanged, doc.updated, doc.created) == ("Completed", 1, 1, 0, 0)
	assert answers() == {"Paris", "Seine"}
	assert not any(question._user_tags for question in imported())
	assert len(files()) == 1


def test_questions_of_others_change_if_that_is_said(others_deck):
	doc = run(others_deck, change_others=1)
	assert (doc.kept, doc.unchanged, doc.updated) == (0, 1, 1)
	assert answers() == {"Lyon", "Seine"}


def test_what_somebody_else_has_corrected_stays(tmp_path):
	run(deck(tmp_path / "first.apkg", "Paris"))
	question = next(question.name for question in imported() if "Paris" in question.answer)
	colleague = make_learner(roles=["Memora Manager"]).user
	frappe.set_user(colleague)
	frappe.get_doc("Game Question", question).update({"answer": "Paris!"}).save()
	frappe.set_user("Administrator")
	frappe.db.commit()
	path = deck(tmp_path / "second.apkg", "Lyon")
	doc = make_import(path)
	doc.run_method("preview")
	assert fresh(doc).others == f"1 × {colleague}"
	importer.run_import(doc.name)
	assert answers() == {"Paris!", "Seine"}


def test_ones_own_questions_change(tmp_path):
	run(deck(tmp_path / "first.apkg", "Paris"))
	doc = make_import(deck(tmp_path / "second.apkg", "Lyon"))
	doc.run_method("preview")
	assert not fresh(doc).others
	importer.run_import(doc.name)
	assert (fresh(doc).updated, answers()) == (1, {"Lyon", "Seine"})
