"""How many learners know some questions. No index leads from a question to its records, but their names do.

A record's name is the learner's id and a hash of season and question. So each learner is looked up by primary key.
"""

from collections.abc import Sequence
from typing import TypedDict

import frappe

from memora.services.store import row_names

LOOKUPS = 200_000  # in a second or less; of more, a share of the learners stands for all

ESTIMATE_SQL = """
	SELECT table_rows FROM information_schema.tables
	WHERE table_schema = DATABASE() AND table_name = 'tabMemora Learner'"""
KNOW_SQL = """
	SELECT l.name FROM `tabMemora Learner` l
	JOIN `tabPlayer Memory Tracker` t ON t.season = %s AND t.name = CONCAT(l.name, %s)
	WHERE l.name >= %s AND l.name < %s"""


class LearnersOfQuestions(TypedDict):
	"""How many learners know at least one of some questions in a season."""

	learners: int
	is_estimate: bool


def count_learners(season: str, question_ids: Sequence[str]) -> LearnersOfQuestions:
	"""Returns how many learners have a record of these questions. Answers that wait to be folded are not counted yet.

	An estimate is off by about 100 / sqrt(learners counted) percent.
	"""
	learners = frappe.db.sql(ESTIMATE_SQL)[0][0] or 0
	how_many = -(-learners * len(question_ids) // LOOKUPS) or 1
	share = row_names.shares(how_many)[0].values()
	arms = [(season, row_names.digest(season, question_id), *share) for question_id in question_ids]
	statement = f"SELECT COUNT(DISTINCT name) FROM ({' UNION ALL '.join([KNOW_SQL] * len(arms))}) knowing"
	((found,),) = frappe.db.sql(statement, [value for arm in arms for value in arm])
	return {"learners": found * how_many, "is_estimate": how_many > 1}
