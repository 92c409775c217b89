"""Makes texts harmless that were stored before they were checked. Each statement covers a bounded range of rows, is
committed, and changes nothing the second time: a run that was cut off is run again.
"""

from collections.abc import Callable, Iterator
from typing import Any

import frappe

from memora.services.store import database

RANGE_ROWS = 5000
QUESTIONS = 200

RANGE_SQL = "SELECT name FROM `tab{0}` WHERE name > %s ORDER BY name LIMIT 1 OFFSET %s"
LAST_SQL = "SELECT MAX(name) FROM `tab{0}`"
# The name of a row stays: it stands for the id that was sent
SUBMISSION_IDS_SQL = """
	UPDATE `tabPlayer Review Log` SET submission_id = CONCAT('old-', LEFT(SHA2(submission_id, 256), 40))
	WHERE name > %(after)s AND name <= %(last)s
	AND submission_id REGEXP '[^A-Za-z0-9._:-]|^[^A-Za-z0-9_]'"""
NAMES_SQL = """
	UPDATE `tab{0}` SET {1} = LEFT(CONCAT(IF({1} REGEXP '^[[:space:]]*[=+@-]', "'", ''),
		REPLACE(REPLACE(REGEXP_REPLACE({1}, '[[:cntrl:]]+', ' '), '<', '‹'), '>', '›')), 140)
	WHERE name > %(after)s AND name <= %(last)s AND {1} REGEXP '[<>[:cntrl:]]|^[[:space:]]*[=+@-]'"""
TAGS_SQL = """
	UPDATE `tab{0}` SET {1} = REGEXP_REPLACE({1}, '<(?=[A-Za-z/!?])', '‹')
	WHERE name > %(after)s AND name <= %(last)s AND {1} REGEXP '<[A-Za-z/!?]'"""
FILES_SQL = """
	UPDATE `tabAnki Import` SET file = '/private/files/removed.apkg'
	WHERE name > %(after)s AND name <= %(last)s AND file NOT REGEXP '^/(private/)?files/[^<>"]+$'"""
QUESTIONS_SQL = """
	SELECT name, question, answer, explanation FROM `tabGame Question` WHERE name > %s ORDER BY name LIMIT %s"""
OPTIONS_SQL = "SELECT name, option_text FROM `tabGame Question Option` WHERE name > %s ORDER BY name LIMIT %s"
SET_QUESTION_SQL = """
	UPDATE `tabGame Question` SET question = %s, answer = %s, explanation = %s WHERE name = %s"""
SET_OPTION_SQL = "UPDATE `tabGame Question Option` SET option_text = %s WHERE name = %s"

# The names that a host app's source of questions has given
NAMED = {
	"Player Memory Tracker": ("subject", "topic"),
	"Archived Memory Tracker": ("subject", "topic"),
	"Activity Count": ("subject",),
	"Daily Activity Subject": ("subject",),
}

# What authors and decks have written
WRITTEN = {
	"Game Subject": ("description",),
	"Game Topic": ("description",),
	"Anki Import": ("others", "error", "sample"),
	"Anki Import Deck": ("deck",),
	"Anki Import Problem": ("note", "deck", "reason", "guid"),
}


def clean_submission_ids() -> None:
	"""Gives answers whose submission's id has other characters than an id has a harmless one, made from it."""
	for part in _ranges("Player Review Log"):
		with database.transaction():
			frappe.db.sql(SUBMISSION_IDS_SQL, part)


def clean_names() -> None:
	"""Makes the names of subjects and topics in records and figures plain, as plain_names.plain does."""
	_clean_columns(NAMES_SQL, NAMED)


def clean_tags() -> None:
	"""Makes tags in texts that are no HTML look alike, as plain_names.without_tags does."""
	_clean_columns(TAGS_SQL, WRITTEN)


def clean_files() -> None:
	"""Removes the addresses of decks that Anki Import would refuse today."""
	for part in _ranges("Anki Import"):
		with database.transaction():
			frappe.db.sql(FILES_SQL, part)


def _clean_columns(sql: str, doctypes: dict[str, tuple[str, ...]]) -> None:
	for doctype, columns in doctypes.items():
		for part in _ranges(doctype):
			with database.transaction():
				for column in columns:
					frappe.db.sql(sql.format(doctype, column), part)


def clean_questions(clean: Callable[[str | None], str | None]) -> None:
	"""Cleans the HTML of the question bank. Modification times stay."""
	for read, write in ((QUESTIONS_SQL, SET_QUESTION_SQL), (OPTIONS_SQL, SET_OPTION_SQL)):
		after = ""
		while rows := frappe.db.sql(read, (after, QUESTIONS)):
			with database.transaction():
				for name, *texts in rows:
					cleaned = [clean(text) for text in texts]
					if cleaned != texts:
						frappe.db.sql(write, (*cleaned, name))
			after = rows[-1][0]


def _ranges(doctype: str) -> Iterator[dict[str, Any]]:
	"""Yields the bounds of ranges of rows by name: all that there are when the last range begins."""
	after = ""
	while end := frappe.db.sql(RANGE_SQL.format(doctype), (after, RANGE_ROWS - 1)):
		yield {"after": after, "last": end[0][0]}
		after = end[0][0]
	((last,),) = frappe.db.sql(LAST_SQL.format(doctype))
	if last not in (None, after):
		yield {"after": after, "last": last}
