"""Decks of Anki and other people's questions: a preview names whose would change, and an import leaves them unless told."""

from pathlib import Path

import frappe
import pytest

from memora.services.anki import importer
from tests.integration import state
from tests.integration.anki_decks import files, fresh, imported, make_import, note, png, run, write_deck
from tests.integration.factories import make_learner, make_records

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


# What was changed here since the last import


@pytest.fixture
def corrected(tmp_path) -> str:
	"""A question of hers, imported and then corrected in the desk by herself."""
	run(deck(tmp_path / "first.apkg", "Paris"))
	question = next(question for question in imported() if "Paris" in question.answer)
	corrected = question.answer.replace("Paris", "Paris!")
	frappe.get_doc("Game Question", question.name).update({"answer": corrected}).save()
	frappe.db.commit()
	return question.name


def test_a_preview_names_what_was_changed_here(corrected, tmp_path):
	doc = make_import(deck(tmp_path / "second.apkg", "Lyon"))
	doc.run_method("preview")
	doc = fresh(doc)
	assert (doc.new_questions, doc.changed_questions, doc.same_questions) == (0, 1, 1)
	assert (doc.edited, doc.others) == (corrected, "")


def test_what_was_changed_here_stays(corrected, tmp_path, player):
	make_records(player, question_ids=[corrected])
	known = state.tracker(player)
	doc = run(deck(tmp_path / "second.apkg", "Lyon"))
	assert (doc.updated, doc.unchanged, doc.kept, doc.kept_edited) == (0, 1, 0, 1)
	assert answers() == {"Paris!", "Seine"}
	doc = run(deck(tmp_path / "third.apkg", "Lyon"), overwrite_edits=1)
	assert (doc.updated, doc.kept_edited, answers()) == (1, 0, {"Lyon", "Seine"})
	assert state.tracker(player) == known


def test_after_that_the_deck_changes_it_again(corrected, tmp_path):
	run(deck(tmp_path / "second.apkg", "Paris!"))  # which says the same by now
	doc = run(deck(tmp_path / "third.apkg", "Lyon"))
	assert (doc.updated, doc.kept_edited) == (1, 0)


def test_a_colleagues_correction_takes_both_ticks(corrected, tmp_path):
	frappe.set_user(make_learner(roles=["Memora Manager"]).user)
	path = deck(tmp_path / "second.apkg", "Lyon")
	assert run(path, change_others=1).kept_edited == 1
	assert run(path, overwrite_edits=1).kept == 1
	assert run(path, change_others=1, overwrite_edits=1).updated == 1


def test_without_a_note_of_what_was_imported_it_counts_as_not_changed(corrected, tmp_path):
	frappe.db.set_value("Game Question", corrected, "imported_text", None)
	frappe.db.commit()
	assert run(deck(tmp_path / "second.apkg", "Lyon")).updated == 1
