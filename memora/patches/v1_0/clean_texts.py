"""Cleans texts that were stored before clients' ids, host apps' names and questions' pictures were checked.

It goes through the journal and the records once, in ranges of 5,000 rows. If it is cut off, it starts anew.
"""

from memora.services.learning.question_html import clean
from memora.services.store import old_texts


def execute() -> None:
	old_texts.clean_submission_ids()
	old_texts.clean_names()
	old_texts.clean_questions(clean)
