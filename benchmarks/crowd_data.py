"""Thousands of learners who come once each. MariaDB makes them as copies of one learner, and removes them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import frappe
from frappe.utils.password import update_password

from benchmarks import perf_data
from benchmarks.perf_data import Learner
from devtools.report import step
from memora.services.store import row_names
from memora.services.store.records import RECORD_COLUMNS

PREFIX = "perf-crowd-"
DUE, LATER = 20, 10  # questions of each learner, due now and due later
FIRST = perf_data.DUE - DUE  # the number of the learner's first question, which is due
COPIED = 1000  # learners in a statement
PASSWORD = "password of the crowd"

USERS_SQL = """
	INSERT INTO tabUser (name, email, username, api_key, first_name, full_name, enabled, user_type, owner,
	modified_by, creation, modified)
	SELECT CONCAT(%(prefix)s, seq, '@example.com'), CONCAT(%(prefix)s, seq, '@example.com'),
	CONCAT(%(prefix)s, seq), CONCAT(api_key, '-', seq), first_name, full_name, enabled, user_type, owner,
	modified_by, creation, modified
	FROM seq_1_to_{size} JOIN tabUser u WHERE u.name = %(of)s"""
SECRETS_SQL = """
	INSERT INTO __Auth (doctype, name, fieldname, password, encrypted)
	SELECT doctype, CONCAT(%(prefix)s, seq, '@example.com'), fieldname, password, encrypted
	FROM seq_1_to_{size} JOIN __Auth a
	WHERE a.doctype = 'User' AND a.fieldname IN ('api_secret', 'password') AND a.name = %(of)s"""
LEARNERS_SQL = """
	INSERT INTO `tabMemora Learner` (name, user, owner, modified_by, creation, modified)
	SELECT id, user, 'Administrator', 'Administrator', NOW(6), NOW(6)
	FROM JSON_TABLE(%(crowd)s, '$[*]' COLUMNS (id CHAR(16) PATH '$[0]', user VARCHAR(140) PATH '$[1]')) crowd"""
# A row name begins with the learner's id. The rest of the name is equal for all learners.
RECORDS_SQL = f"""
	INSERT INTO `tabPlayer Memory Tracker` (name, player, season, {RECORD_COLUMNS}, modified)
	SELECT CONCAT(crowd.id, SUBSTRING(name, 17)), crowd.id, season, {RECORD_COLUMNS}, modified
	FROM JSON_TABLE(%(crowd)s, '$[*]' COLUMNS (id CHAR(16) PATH '$[0]')) crowd
	JOIN `tabPlayer Memory Tracker` t WHERE t.name IN %(names)s AND season = %(season)s"""

OF_CROWD = "player IN (SELECT name FROM `tabMemora Learner` WHERE user LIKE %(crowd)s)"
REMOVE_SQL = (
	f"DELETE FROM `tabReview Outbox` WHERE season = %(season)s AND {OF_CROWD}",
	f"DELETE FROM `tabPlayer Memory Tracker` WHERE season = %(season)s AND {OF_CROWD}",
	f"DELETE FROM `tabPlayer Review Log` WHERE season = %(season)s AND {OF_CROWD}",
	"DELETE FROM `tabMemora Learner` WHERE user LIKE %(crowd)s",
	"DELETE FROM tabSessions WHERE user LIKE %(crowd)s",
	"DELETE FROM `tabActivity Log` WHERE user LIKE %(crowd)s",
	"DELETE FROM __Auth WHERE doctype = 'User' AND name LIKE %(crowd)s",
	"DELETE FROM tabUser WHERE name LIKE %(crowd)s",
)


@contextmanager
def prepared(size: int) -> Iterator[tuple[str, Learner, list[Learner]]]:
	"""Makes the crowd for the block. Yields the season, the learner who was copied, and the copies.

	Redis holds nothing of the crowd.
	"""
	with perf_data.prepared() as (season, (model, *_others)):
		_remove(season)  # a killed run may have left a crowd
		try:
			with step(f"Making a crowd of {size:,} learners who have {DUE} questions due and {LATER} later"):
				learners = _make(season, model, size)
			yield season, model, learners
		finally:
			with step("Removing the crowd"):
				_remove(season)


def _make(season: str, model: Learner, size: int) -> list[Learner]:
	update_password(model.user, PASSWORD)
	values = {"prefix": PREFIX, "of": model.user}
	frappe.db.sql(USERS_SQL.format(size=size), values)
	frappe.db.sql(SECRETS_SQL.format(size=size), values)
	frappe.db.commit()  # no request of Frappe's would, and the web server has to see the users
	learners = [_copy(model, number) for number in range(1, size + 1)]
	questions = [perf_data.question_id(FIRST + number) for number in range(DUE + LATER)]
	names = [row_names.tracker_name(model.id, season, question_id) for question_id in questions]
	rows = sorted([learner.id, learner.user] for learner in learners)
	for start in range(0, size, COPIED):
		crowd = json.dumps(rows[start : start + COPIED])
		frappe.db.sql(LEARNERS_SQL, {"crowd": crowd})
		frappe.db.sql(RECORDS_SQL, {"crowd": crowd, "names": names, "season": season})
		frappe.db.commit()  # so that a part of the crowd is no large transaction
	return learners


def _copy(model: Learner, number: int) -> Learner:
	user = f"{PREFIX}{number}@example.com"
	return Learner(row_names.digest(user), user, f"{model.key}-{number}", model.secret, cursor=FIRST)


def _remove(season: str) -> None:
	frappe.db.rollback()  # ends what a run that broke off has begun
	for statement in REMOVE_SQL:
		frappe.db.sql(statement, {"season": season, "crowd": f"{PREFIX}%"})
		frappe.db.commit()  # each for itself: workers lock these tables meanwhile
	frappe.clear_cache()  # Frappe has cached every user of the crowd by now
