"""What an answer is judged by: the learner's records of some questions, and what she has answered on one learning day.

Her row of the day in Daily Learner counts what is folded, her outbox the rest. So the count is exact at any moment, and
costs neither a query nor a write of its own.
"""

from collections.abc import Iterable
from datetime import date
from functools import reduce

import frappe

from memora.services.store import row_names
from memora.services.store.figure_tables import learner_row_name
from memora.services.store.records import Effort, Standing, overlay, unpack_effort
from memora.services.store.tracker import RECORDS_BY_NAME_SQL

# The day's row has the form of an outbox payload, too. Without such a row there is one with zeros.
STANDING_SQL = f"""{RECORDS_BY_NAME_SQL}
	UNION ALL SELECT CONCAT('{{"records":[],"effort":["', %(day)s, '",', COALESCE(MAX(answers), 0),
		',"', COALESCE(MAX(practised), ''), '",', COALESCE(MAX(learnt), 0), ']}}')
	FROM `tabDaily Learner` WHERE name = %(learner_row)s"""
OTHER_ROWS = 2  # beside those of the outbox: all records of the tracker, and the day's row


def get_standing(learner: str, season: str, question_ids: Iterable[str], day: date) -> Standing:
	"""Returns a learner's records of a few questions, and her effort of a learning day; one query."""
	names = [row_names.tracker_name(learner, season, q) for q in question_ids] or [""]
	values = row_names.of_learner(
		learner, season, names=names, day=str(day), learner_row=learner_row_name(season, day, learner)
	)
	rows = frappe.db.sql(STANDING_SQL, values)
	efforts = filter(None, (unpack_effort(payload) for (payload,) in rows))
	return Standing(overlay(rows), reduce(Effort.plus, efforts, Effort(str(day))), len(rows) - OTHER_ROWS)
