"""Makes the data of the pictures: a school whose learners have answered for two months. Each run makes the same learners.

The app's own scheduler computes what each answer leads to. The answers are journalled under the dates of their days, and
then folded.
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
from memora.services.learning import learners, reviews, submissions
from memora.services.learning.answers import Origin, Response, Step, journal_entry, record_after
from memora.services.learning.question_source import get_source
from memora.services.learning.season_scheduler import SeasonScheduler
from memora.services.store import database, seasons
from memora.services.store.records import MemoryRecord
from memora.services.store.seasons import Season
from memora.services.store.submissions import write_submission

QUESTIONS = Path(__file__).parent / "questions.csv"
ARABIC = "الجغرافيا"
PASSWORD = "only for the pictures"
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
	"""The names of the school's seasons."""

	season: str
	last_season: str


def found() -> School:
	"""Makes the school on an empty site, and commits."""
	frappe.conf.throttle_user_limit = 1000  # in this process: Frappe refuses a 61st new user in an hour
	today = site_time.learning_day()
	_make_people()
	_load_questions()
	frappe.db.commit()  # partitions are made on another connection
	last, season = _past_season(today), _present_season(today)
	activity.sum_up()
	due_forecast.compute_forecast(season)
	_reconcile(season, today)
	frappe.db.sql("ANALYZE TABLE `tabPlayer Memory Tracker`")  # else the season's form shows no rows
	frappe.db.commit()  # the web server must see the school
	return School(season, last)


def _past_season(today: date) -> str:
	"""Makes a season that has ended and can be archived, and returns its name."""
	season = _make_season(today - timedelta(days=365))
	for name in LEARNERS[2:8]:
		days = _days(today - timedelta(days=395), 33)
		study(email(name), seasons.get_season(season), _curriculum(name), days)
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
	"""Returns the days on which a learner answers. FIRST and IN_ARABIC missed yesterday, so they have due questions today."""
	if name == IN_ARABIC:
		return _days(today - timedelta(days=2), DAYS_IN_ARABIC)
	if name == FIRST:
		return _days(today - timedelta(days=2), DAYS)
	return _days(today, Random(f"{SEED}:{name}").randint(DAYS - 14, DAYS))


def _days(last: date, how_many: int) -> list[date]:
	return [last - timedelta(days=n) for n in reversed(range(how_many))]


def _make_season(today: date) -> str:
	"""Makes an active season that began 90 days before `today`, and returns its name. Commits."""
	frappe.db.commit()  # partitions are made on another connection
	begin = today - timedelta(days=90)
	name = f"School Year {begin.year}-{(begin.year + 1) % 100:02}"
	dates = {"start_date": begin, "end_date": begin + timedelta(days=300), "is_active": 1}
	frappe.get_doc({"doctype": "Game Subscription Season", "season_name": name, **dates}).insert()
	frappe.db.commit()  # no request commits here
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
	"""Returns the questions that a learner is taught, in order. The subjects take turns."""
	subjects = [ARABIC] if name == IN_ARABIC else [demo_data.SUBJECT, "Biology", "History"]
	fields = {"pluck": "name", "order_by": "topic, position"}
	by_subject = [frappe.get_all("Game Question", filters={"subject": s}, **fields) for s in subjects]
	return [question for row in zip_longest(*by_subject) for question in row if question]


# Answers


def study(user: str, season: Season, questions: list[str], days: Iterable[date]) -> None:
	"""Gives a learner's answers of these days, in order, and commits. She answers in one sitting a day, and misses some days."""
	random, records, new = Random(f"{SEED}:{user}"), {}, iter(questions)
	learner = learners.identify(user)
	skill = random.uniform(-0.07, 0.05)
	for day in days:
		if random.random() < (ABSENT_AT_WEEKENDS if day.weekday() > 4 else ABSENT):
			continue
		sitting = _Sitting(learner, season, _begin(day, random), random, skill)
		sitting.answer_all(records, list(islice(new, NEW_A_DAY)))
		if sitting.steps:
			with database.transaction():
				sitting.submit()


def _begin(day: date, random: Random) -> datetime:
	"""Returns a moment of a learning day. On the present day, the moment lies in the past."""
	start = datetime.combine(day, datetime.min.time(), site_time.site_zone()) + timedelta(hours=4)
	end = min(start + timedelta(hours=18), site_time.now() - timedelta(minutes=10))
	return start + (end - start) * random.uniform(0.1, 0.95)


class _Sitting:
	"""A learner's answers of one day, given one after the other. They become one submission."""

	def __init__(self, learner: str, season: Season, moment: datetime, random: Random, skill: float) -> None:
		self.learner, self.season, self.moment = learner, season, moment
		self.random, self.skill = random, skill
		self.steps: list[Step] = []

	def answer_all(self, records: dict[str, MemoryRecord], new: list[str]) -> None:
		"""Answers due questions, the oldest first, and then new ones. Changes `records`."""
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
		scheduler = SeasonScheduler(self.learner, self.season, self.moment)
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
			self.learner,
			self.season.name,
			f"sitting {self.moment.date()}",
			entries,
			[step.after for step in self.steps],
			site_time.to_naive(self.moment),
			counting.count_entries(entries, subjects),
		)


# Operation


def _reconcile(season: str, today: date) -> None:
	"""Makes the reports that daily comparisons would have left. Most found nothing, some found a record or a few."""
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
	"""Returns learners who have due questions, at most `how_many`."""
	learners = map(email, LEARNERS[2:])  # the first two stand on the pictures of /review
	return [user for user in learners if reviews.read_reviews(user, limit=1)["questions"]][:how_many]


def answer(learner: str) -> None:
	"""Answers a learner's due questions through the service that takes answers. The service queues a fold."""
	due = reviews.read_reviews(learner, limit=5)["questions"]
	submissions.submit(learner, [Response(question["question_id"], 4, 6000) for question in due])


def wait_until_folded() -> None:
	def waiting() -> int:
		frappe.db.rollback()  # the next look must see what the worker has done
		return frappe.db.count("Review Outbox", {"parked_at": ("is", "not set")})

	wait_for_zero(waiting, FOLD_SECONDS, "submissions wait to be folded")
