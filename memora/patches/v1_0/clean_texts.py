"""Cleans texts that were stored before clients' ids, host apps' names, authors' texts and questions' pictures were checked.

It goes through the journal and the records once, in ranges of 5,000 rows. If it is cut off, it starts anew.
"""

import frappe

from memora.services.learning.plain_names import without_quotes
from memora.services.learning.question_html import clean
from memora.services.store import old_texts


def execute() -> None:
	old_texts.clean_submission_ids()
	old_texts.clean_names()
	old_texts.clean_tags()
	old_texts.clean_files()
	old_texts.clean_questions(clean)
	_rename("Game Subject", "subject_name")
	_rename("Game Topic", "topic_name")


def _rename(doctype: str, field: str) -> None:
	"""Renames what has quotation marks in its name, and what links to it. Leaves it if the new name is taken."""
	for name in frappe.get_all(doctype, {"name": ("like", '%"%')}, pluck="name"):
		if not frappe.db.exists(doctype, without_quotes(name)):
			new = frappe.rename_doc(doctype, name, without_quotes(name), force=True, show_alert=False)
			title = frappe.db.get_value(doctype, new, field)
			frappe.db.set_value(doctype, new, field, without_quotes(title), update_modified=False)
