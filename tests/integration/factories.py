"""Makes what tests need. Every factory commits: gunicorn, workers and other connections shall see it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import frappe
from frappe.utils import add_days, getdate
from frappe.utils.password import set_encrypted_password

from memora.services import site_time
from memora.services.learning import learners
from memora.services.store import row_names, tracker
from memora.services.store.records import MemoryRecord
from memora.services.store.submissions import write_submission

STANDING_SEASON = "SEASON-2026"
BANK = {"Bank Geography": ("Africa", "Asia"), "Bank Biology": ("Cells",)}  # subjects and their topics
BANK_QUESTIONS_A_TOPIC = 15
DOMAIN = "learners.example"
API_SECRET = "secret-of-the-tests"

RUN = frappe.generate_hash(length=6)  # Frappe's cache knows the users of earlier runs
_serial = count(1)


@dataclass(frozen=True)
class Learner:
	"""`name` is her id; `user` is her User."""

	name: str
	user: str
	api_key: str

	@property
	def token(self) -> str:
		return f"token {self.api_key}:{API_SECRET}"


def make_season(**overrides: Any):
	"""An inactive season around today. No transaction may be open that has read the tracker."""
	frappe.db.commit()
	values = {
		"season_name": f"Season {next(_serial)}",
		"start_date": add_days(getdate(), -30),
		"end_date": add_days(getdate(), 300),
		**overrides,
	}
	season = frappe.get_doc({"doctype": "Game Subscription Season", **values}).insert()
	frappe.db.commit()
	return season


def learner_id(text: str) -> str:
	"""The id of a learner who has no User, the same for the same text."""
	return row_names.digest(text)


def ensure_learner(learner: str) -> None:
	"""Makes a learner without a User, unless she exists: submissions are taken of learners who exist."""
	if not frappe.db.exists("Memora Learner", learner):
		frappe.new_doc("Memora Learner", name=learner).db_insert()
		frappe.db.commit()


def make_learner(roles: Sequence[str] = (), id: str | None = None, **overrides: Any) -> Learner:
	"""A user with an API token, who has been here."""
	user = make_user(roles, **overrides)
	if id:
		frappe.new_doc("Memora Learner", name=id, user=user).db_insert()
	api_key = frappe.db.get_value("User", user, "api_key")
	frappe.db.commit()
	return Learner(learners.identify(user), user, api_key)


def make_user(roles: Sequence[str] = (), **overrides: Any) -> str:
	"""A user with an API token, who has not been here. Inserted without User's own hooks, which take a second."""
	number = next(_serial)
	values = {
		"name": f"learner{number}-{RUN}@{DOMAIN}",
		"first_name": f"Learner {number}",
		"enabled": 1,
		"user_type": "System User" if roles else "Website User",
		"api_key": f"key-{number}-{RUN}",
		**overrides,
	}
	user = frappe.new_doc("User", email=values["name"], **values)
	user.db_insert()
	for role in roles:
		user.append("roles", {"role": role}).db_insert()
	set_encrypted_password("User", user.name, API_SECRET, "api_secret")
	frappe.db.commit()
	return user.name


def make_questions(how_many: int = 1, **overrides: Any) -> list[str]:
	"""Questions of one topic, in order of teaching; names begin with `prefix`."""
	prefix = overrides.pop("prefix", f"question-{next(_serial)}")
	subject = overrides.pop("subject", "Subject")
	topic = make_topic(subject, overrides.pop("topic", "Topic"))
	names = [f"{prefix}-{position:03}" for position in range(1, how_many + 1)]
	for position, name in enumerate(names, start=1):
		question = {"question": f"<p>What is {name}?</p>", "answer": f"It is {name}.", "position": position}
		frappe.get_doc({"doctype": "Game Question", "topic": topic, **question, **overrides}).insert(
			set_name=name
		)
	frappe.db.commit()
	return names


def ensure_questions(names: Iterable[str], topic: str = "Bank Geography: Africa") -> None:
	"""Questions of these names, behind all others of a topic, unless they exist."""
	subject = topic.partition(":")[0]
	make_topic(subject, topic.partition(": ")[2])
	if not (names := list(names)):
		return
	rows = [(name, topic, subject, f"<p>What is {name}?</p>", f"It is {name}.") for name in names]
	values = ", ".join(["(%s, %s, %s, %s, %s, 1000, 1, NOW(), NOW())"] * len(rows))
	frappe.db.sql(
		f"""INSERT INTO `tabGame Question`
		(name, topic, subject, question, answer, position, enabled, creation, modified) VALUES {values}
		ON DUPLICATE KEY UPDATE name = name""",
		[value for row in rows for value in row],
	)


def make_topic(subject: str, topic: str, position: int = 1) -> str:
	if not frappe.db.exists("Game Subject", subject):
		frappe.get_doc({"doctype": "Game Subject", "subject_name": subject}).insert()
	if not frappe.db.exists("Game Topic", f"{subject}: {topic}"):
		values = {"topic_name": topic, "subject": subject, "position": position}
		frappe.get_doc({"doctype": "Game Topic", **values}).insert()
	return f"{subject}: {topic}"


def make_records(player: str, how_many: int = 1, **overrides: Any) -> list[MemoryRecord]:
	"""Tracker rows of questions of the bank, due one after the other, the oldest `how_many` hours ago.

	Questions that the bank lacks are added to it, unless `is_known` is false. `season`, `question_ids` and any column may be given; a column as a function of the row's index, too.
	"""
	season = overrides.pop("season", STANDING_SEASON)
	ids = overrides.pop("question_ids", None) or bank_questions()[:how_many]
	if overrides.pop("is_known", True):
		ensure_questions(ids)
	records = [make_record(q, i, len(ids), **overrides) for i, q in enumerate(ids)]
	tracker.upsert_records(player, season, records)
	frappe.db.commit()
	return records


def make_record(question_id: str, index: int = 0, how_many: int = 1, **overrides: Any) -> MemoryRecord:
	"""A record that is not stored."""
	now = site_now().replace(microsecond=0)
	values = {
		"subject": "Bank Geography",
		"topic": "Bank Geography: Africa",
		"stability": 2.3065,
		"difficulty": 2.118104,
		"state": "Review",
		"reps": 1,
		"lapses": 0,
		"next_review_date": now - timedelta(hours=how_many - index),
		"last_review_date": now - timedelta(days=30),
		"creation": now - timedelta(days=30),
		**{key: value(index) if callable(value) else value for key, value in overrides.items()},
	}
	return MemoryRecord(question_id=question_id, **values)


def make_waiting_submission(player: str, season: str, *records: MemoryRecord) -> str:
	"""An outbox row: a submission that led to these records and is not folded yet."""
	ensure_learner(player)
	ensure_questions([record.question_id for record in records])
	submission_id = f"submission-{next(_serial)}-{RUN}"
	name = write_submission(player, season, submission_id, [], list(records), site_now())
	frappe.db.commit()
	return name


def make_standing_data() -> None:
	"""Makes the season and the questions that all tests share."""
	make_season(season_name=STANDING_SEASON, is_active=1)
	for subject, topics in BANK.items():
		for topic in topics:
			prefix = f"bank-{subject[5:8]}-{topic}".lower()
			make_questions(BANK_QUESTIONS_A_TOPIC, subject=subject, topic=topic, prefix=prefix)


def set_limits(user_seconds: int = 30, requests_per_minute: int = 500) -> None:
	"""Safe Mode's."""
	limits = {
		"safe_mode_user_seconds": user_seconds,
		"safe_mode_requests_per_minute": requests_per_minute,
	}
	frappe.get_single("Memora Settings").update(limits).save()
	frappe.db.commit()


def lift_limits() -> None:
	"""Lets learners answer as much on one day as a test can send."""
	limits = {"new_per_day": 1000, "answers_per_day": 0, "practice_per_day": 0}
	frappe.get_single("Memora Settings").update(limits).save()
	frappe.db.commit()


def bank_questions(subject: str = "Bank Geography") -> list[str]:
	"""The bank's questions of a subject, in order of teaching."""
	prefixes = [f"bank-{subject[5:8]}-{topic}".lower() for topic in BANK[subject]]
	return [f"{p}-{n:03}" for p in prefixes for n in range(1, BANK_QUESTIONS_A_TOPIC + 1)]


def site_now() -> datetime:
	return site_time.naive_now()
