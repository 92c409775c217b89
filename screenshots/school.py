"""The data of the pictures: a school whose learners have answered for two months, the same ones each time.

Answers are journalled as they would have been on their days, by the code that schedules, and folded.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice, zip_longest
from pathlib import Path
from random import Random

import frappe
from frappe.utils.password import update_password

from benchmarks.site import FOLD_SECONDS, deactivate, wait_for_zero
from memora import demo_data
from memora.services import site_time
from memora.services.figures import activity, due_forecast
from memora.services.folding import counting, folds
from memora.services.learning import reviews, submissions
from memora.services.learning.answers import Origin, Response, Step, journal_entry, record_after
from memora.services.learning.question_source import get_source
from memora.services.learning.season_scheduler import SeasonScheduler
from memora.services.store import database, seasons
from memora.services.store.records import MemoryRecord
from memora.services.store.seasons import Season
from memora.services.store.submissions import write_submission

QUESTIONS = Path(__file__).parent / "questions.csv"
ARABIC = "الجغرافيا"
PASSWORD = "only of the pictures"
MANAGER = "Ruth Adler"
FIRST, IN_ARABIC = "Amina Yusuf", "Layla Haddad"
LEARNERS = (
	*(FIRST, IN_ARABIC, "Ben Carter", "Chloé Martin", "Daniel Osei", "Elena Petrova", "Farid Rahman"),
	*("Grace Kim", "Hugo Silva", "Ines Moreau", "Jonas Weber", "Kavya Nair", "Liam Doyle", "Noor Aziz"),
)
DAYS, DAYS_IN_ARABIC = 63, 6
NEW_A_DAY, REVIEWS_A_DAY = 4, 30
ABSENT, ABSENT_AT_WEEKENDS = 0.12, 0.6
SECONDS_AN_ANSWER = 9
RECONCILIATIONS = 30  # days
SEED = 2718


def email(name: str) -> str:
	return f"{name.lower().replace(' ', '.').replace('é', 'e')}@example.com"


@dataclass(frozen=True)
class School:
	"""The seasons' names."""

	season: str
	last_season: str


def found() -> School:
	"""Makes it all on an empty site; commits."""
	frappe.conf.throttle_user_limit = 1000  # of this process alone: Frappe makes 60 users an hour
	today = site_time.learning_day()
	_make_people()
	_load_questions()
	frappe.db.commit()  # partitions are made on another connection
	last, season = _past_season(today), _present_season(today)
	activity.sum_up()
	due_forecast.compute_forecast(season)
	_reconcile(season, today)
	frappe.db.sql("ANALYZE TABLE `tabPlayer Memory Tracker`")  # or the season's form would show no rows
	frappe.db.commit()  # the web server is to see it
	return School(season, last)


def _past_season(today: date) -> str:
	"""The name of one that has ended and could be archived."""
	season = _make_season(today - timedelta(days=365))
	for name in LEARNERS[2:8]:
		study(
			email(name), seasons.get_season(season), _curriculum(name), _days(today - timedelta(days=395), 33)
		)
	folds.drain_season(season)
	deactivate(season)
	return season


def _present_season(today: date) -> str:
	season = _make_season(today)
	for name in LEARNERS:
		study(email(name), seasons.get_season(season), _curriculum(name), _days_of(name, today))
	folds.drain_season(season)
	return season


def _days_of(name: str, today: date) -> list[date]:
	"""The learners of the learner's page come back after a day: something is due to them."""
	if name == IN_ARABIC:
		return _days(today - timedelta(days=2), DAYS_IN_ARABIC)
	if name == FIRST:
		return _days(today - timedelta(days=2), DAYS)
	return _days(today, Random(f"{SEED}:{name}").randint(DAYS - 14, DAYS))


def _days(last: date, how_many: int) -> list[date]:
	return [last - timedelta(days=n) for n in reversed(range(how_many))]


def _make_season(today: date) -> str:
	"""One that is active and has gone on for 90 days on that day."""
	frappe.db.commit()  # partitions are made on another connection
	begin = today - timedelta(days=90)
	name = f"School Year {begin.year}-{(begin.year + 1) % 100:02}"
	dates = {"start_date": begin, "end_date": begin + timedelta(days=300), "is_active": 1}
	frappe.get_doc({"doctype": "Game Subscription Season", "season_name": name, **dates}).insert()
	frappe.db.commit()  # no request does it
	return name


def _make_people() -> None:
	for name in LEARNERS:
		_make_user(name, language="ar" if name == IN_ARABIC else "en")
	_make_user(MANAGER, roles=("System Manager", "Memora Manager"))


def _make_user(name: str, language: str = "en", roles: tuple[str, ...] = ()) -> None:
	first, last = name.split()
	values = {"email": email(name), "first_name": first, "last_name": last, "language": language}
	kind = {"user_type": "System User" if roles else "Website User", "send_welcome_email": 0}
	user = frappe.get_doc({"doctype": "User", **values, **kind}).insert()
	if roles:
		user.add_roles(*roles)
	update_password(user.name, PASSWORD)


# Questions


def _load_questions() -> None:
	demo_data.load_question_set()
	with QUESTIONS.open(encoding="utf-8", newline="") as file:
		for position, row in enumerate(csv.DictReader(file), start=1):
			_make_question(row, position)


def _make_question(row: dict[str, str], position: int) -> None:
	topic = f"{row['subject']}: {row['topic']}"
	if not frappe.db.exists("Game Subject", row["subject"]):
		frappe.get_doc({"doctype": "Game Subject", "subject_name": row["subject"]}).insert()
	if not frappe.db.exists("Game Topic", topic):
		values = {"topic_name": row["topic"], "subject": row["subject"], "position": position}
		frappe.get_doc({"doctype": "Game Topic", **values}).insert()
	wrong = row["wrong"].split(";") if row["wrong"] else []
	options = sorted([row["answer"], *wrong]) if wrong else []
	values = {key: row[key] for key in ("question", "answer", "explanation")}
	values["options"] = [{"option_text": o, "is_correct": o == row["answer"]} for o in options]
	document = {"doctype": "Game Question", "topic": topic, "position": position, **values}
	frappe.get_doc(document).insert(set_name=row["question_id"])


def _curriculum(name: str) -> list[str]:
	"""What a learner is taught, in order: the subjects in turn."""
	subjects = [ARABIC] if name == IN_ARABIC else [demo_data.SUBJECT, "Biology", "History"]
	fields = {"pluck": "name", "order_by": "topic, position"}
	by_subject = [frappe.get_all("Game Question", filters={"subject": s}, **fields) for s in subjects]
	return [question for row in zip_longest(*by_subject) for question in row if question]


# Answers


def study(player: str, season: Season, questions: list[str], days: Iterable[date]) -> None:
	"""Gives a learner's answers of these days, in order, a sitting and a submission on each but some; commits."""
	random, records, new = Random(f"{SEED}:{player}"), {}, iter(questions)
	skill = random.uniform(-0.07, 0.05)
	for day in days:
		if random.random() < (ABSENT_AT_WEEKENDS if day.weekday() > 4 else ABSENT):
			continue
		sitting = _Sitting(player, season, _begin(day, random), random, skill)
		sitting.answer_all(records, list(islice(new, NEW_A_DAY)))
		if sitting.steps:
			with database.transaction():
				sitting.submit()


def _begin(day: date, random: Random) -> datetime:
	"""A moment of a learning day, on the present one before now."""
	start = datetime.combine(day, datetime.min.time(), site_time.site_zone()) + timedelta(hours=4)
	end = min(start + timedelta(hours=18), site_time.now() - timedelta(minutes=10))
	return start + (end - start) * random.uniform(0.1, 0.95)


class _Sitting:
	"""A learner's answers of a day, given one after the other."""

	def __init__(self, player: str, season: Season, moment: datetime, random: Random, skill: float) -> None:
		self.player, self.season, self.moment = player, season, moment
		self.random, self.skill = random, skill
		self.steps: list[Step] = []

	def answer_all(self, records: dict[str, MemoryRecord], new: list[str]) -> None:
		"""What is due, the oldest first, then what is new; `records` is changed."""
		now = site_time.to_naive(self.moment)
		due = sorted((r.next_review_date, q) for q, r in records.items() if r.next_review_date <= now)
		content = get_source().get_questions(new)
		for question in [*(q for _, q in due[:REVIEWS_A_DAY]), *new]:
			self.steps.append(self._answer(question, records.get(question), content))
			records[question] = self.steps[-1].after

	def _answer(self, question: str, before: MemoryRecord | None, content: dict[str, dict]) -> Step:
		seconds = self.random.expovariate(1 / SECONDS_AN_ANSWER) + 2
		self.moment += timedelta(seconds=seconds)
		answered_at = site_time.to_naive(self.moment)
		scheduler = SeasonScheduler(self.player, self.season, self.moment)
		response = Response(question, self._quality(scheduler, question, before), round(1000 * seconds))
		outcome = scheduler.review(question, before, response.quality)
		origin = before or Origin.of(question, content, answered_at)
		return Step(response, before, record_after(origin, outcome.memory), outcome, answered_at)

	def _quality(self, scheduler: SeasonScheduler, question: str, before: MemoryRecord | None) -> int:
		recall = scheduler.review(question, before, 4).predicted_recall if before else 0.75
		if self.random.random() > recall + self.skill:
			return 1
		return self.random.choices((3, 4, 5), (2, 7, 1))[0]

	def submit(self) -> None:
		entries = [journal_entry(step, "Normal") for step in self.steps]
		subjects = {step.after.question_id: step.after.subject for step in self.steps}
		write_submission(
			self.player,
			self.season.name,
			f"sitting {self.moment.date()}",
			entries,
			[step.after for step in self.steps],
			site_time.to_naive(self.moment),
			counting.count_entries(entries, subjects),
		)


# Operation


def _reconcile(season: str, today: date) -> None:
	"""What daily runs would have left: mostly nothing found, now and then a record or two."""
	random = Random(SEED)
	for days_ago in range(RECONCILIATIONS, -1, -1):
		found = random.choices((0, 1, 2, 4), (12, 4, 2, 1))[0]
		begin = datetime.combine(today - timedelta(days=days_ago), datetime.min.time())
		frappe.get_doc(_reconciliation(season, begin + timedelta(hours=2, minutes=30), found)).insert()


def _reconciliation(season: str, started_at: datetime, found: int) -> dict:
	return {
		"doctype": "Cache Reconciliation",
		"season": season,
		"started_at": started_at,
		"seconds": 0.4,
		"learners": 120,
		"sample_size": 10_000,
		"discrepancies_found": found,
		"discrepancy_rate": found / 10_000,
		"cache_misses": found,
		"auto_corrected": found,
	}


def with_something_due(how_many: int) -> list[str]:
	"""Learners who could review now."""
	players = map(email, LEARNERS[2:])  # the first two are those of the learner's page
	return [p for p in players if reviews.read_reviews(p, limit=1)["questions"]][:how_many]


def answer(player: str) -> None:
	"""Has her answer what is due by way of the service that takes answers, with its jobs."""
	due = reviews.read_reviews(player, limit=5)["questions"]
	submissions.submit(player, [Response(question["question_id"], 4, 6000) for question in due])


def wait_until_folded() -> None:
	def waiting() -> int:
		frappe.db.rollback()  # the next look is to see what the worker has done
		return frappe.db.count("Review Outbox", {"parked_at": ("is", "not set")})

	wait_for_zero(waiting, FOLD_SECONDS, "submissions wait to be folded")
