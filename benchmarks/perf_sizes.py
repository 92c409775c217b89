"""Section `sizes`: the bytes that a question, an answer or a submission takes in Redis, tracker, archive, journal and outbox.

One season is filled with learners who have 1,000 questions each, loaded into Redis, and archived. In a second season
learners submit 20 answers at a time, in random order, as they would over months.
"""

import argparse
from datetime import datetime, timedelta
from random import Random

import frappe

from benchmarks import season_data
from benchmarks.report import Section, number, table
from devtools.report import Failure, step
from memora.services import site_time
from memora.services.cache import survey
from memora.services.srs_archiver import SRSArchiver
from memora.services.srs_redis_manager import SRSRedisManager, rebuild_season_cache
from memora.services.store import database, swap, tables
from memora.services.store.records import JournalEntry, MemoryRecord
from memora.services.store.submissions import write_submission

SEASON, JOURNAL_SEASON = "Perf Sizes", "Perf Journal"
JOURNAL, OUTBOX = "tabPlayer Review Log", "tabReview Outbox"
ANSWERS = 20  # in a submission
SUBMISSIONS, BATCH = 10_000, 100  # in the journal, and in a transaction
AHEAD = timedelta(days=1)  # how far in the future submissions are dated, where no worker or sweeper looks
BILLION = 1_000_000_000

BYTES_SQL = """
	SELECT SUM(DATA_LENGTH + INDEX_LENGTH) FROM information_schema.PARTITIONS
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND COALESCE(PARTITION_NAME, '') IN ('', %s)"""

WHAT = {
	"redis_bytes_per_question": "Redis: a question in a schedule",
	"tracker_bytes_per_row": "tracker: a record",
	"archive_bytes_per_row": "archive: a record, when its season is over",
	"journal_bytes_per_row": "journal: an answer",
	"outbox_bytes_per_submission": f"outbox: a waiting submission of {ANSWERS} answers",
}


def measure(arguments: argparse.Namespace) -> Section:
	learners = max(1, arguments.rows // season_data.QUESTIONS_EACH)
	rows = learners * season_data.QUESTIONS_EACH
	figures: dict[str, float] = {"rows": rows}
	with season_data.season(SEASON):
		figures |= _schedules(learners, rows)
	with season_data.season(JOURNAL_SEASON):
		figures |= _submissions(learners)
	figures = {name: round(value, 1) for name, value in figures.items()}
	return Section(figures, _text(figures))


def _text(figures: dict[str, float]) -> str:
	rows = [["sizes", "bytes", "a million, MB", "a billion, GB"]]
	for name, what in WHAT.items():
		size = figures[name]
		rows.append([what, number(size, 1), number(size), number(size * BILLION / 1e9)])
	return table(rows)


def _schedules(learners: int, rows: int) -> dict[str, float]:
	manager = SRSRedisManager()
	with step(f"Filling {SEASON} with {rows:,} rows"):
		season_data.fill(SEASON, learners)
	tracker = _table_bytes(swap.TRACKER, SEASON)
	try:
		before = survey.survey_keys(manager.schedules).memory_bytes
		with step("Loading the rows into Redis"):
			loaded = rebuild_season_cache(SEASON)
		redis = survey.survey_keys(manager.schedules).memory_bytes - before
	finally:
		manager.clear_season_cache(SEASON)
		frappe.db.delete("Cache Rebuild", {"season": SEASON})
		frappe.db.commit()  # no request commits here
	if loaded["total_keys"] != learners:
		raise Failure(f"{loaded['total_keys']} of {learners} schedules were loaded: {loaded.get('error')}")
	with step("Archiving the season"):
		archived = SRSArchiver().archive_season(SEASON, before_its_end=True)
	if not archived["success"]:
		raise Failure(f"{SEASON} was not archived: {archived['error']}")
	return {
		"redis_bytes_per_question": redis / rows,
		"tracker_bytes_per_row": tracker / rows,
		"archive_bytes_per_row": _table_bytes(swap.ARCHIVE, SEASON) / rows,
	}


def _submissions(learners: int) -> dict[str, float]:
	waiting = _table_bytes(OUTBOX, JOURNAL_SEASON)
	with step(f"Writing {SUBMISSIONS:,} submissions of {ANSWERS} answers"):
		_submit_all(learners)
	return {
		"journal_bytes_per_row": _table_bytes(JOURNAL, JOURNAL_SEASON) / (SUBMISSIONS * ANSWERS),
		"outbox_bytes_per_submission": (_table_bytes(OUTBOX, JOURNAL_SEASON) - waiting) / SUBMISSIONS,
	}


def _submit_all(learners: int) -> None:
	random = Random(season_data.SEED)
	ids = [season_data.learner(number) for number in range(learners)]
	for learner in ids:
		frappe.new_doc("Memora Learner", name=learner).db_insert()
	for _batch in range(SUBMISSIONS // BATCH):
		_set_active(1)  # inside the transaction: nobody else sees it
		for _submission in range(BATCH):
			_submit(random, random.choice(ids))
		_set_active(0)
		frappe.db.commit()  # no request commits here
	frappe.db.delete("Memora Learner", {"name": ("in", ids)})
	frappe.db.commit()


def _set_active(is_active: int) -> None:
	frappe.db.set_value("Game Subscription Season", JOURNAL_SEASON, "is_active", is_active)


def _submit(random: Random, learner: str) -> None:
	now = site_time.naive_now()
	numbers = random.sample(range(season_data.QUESTIONS_EACH), ANSWERS)
	ids = [season_data.question_id(one) for one in numbers]
	entries, records = [_entry(one, now) for one in ids], [_record(one, now) for one in ids]
	name = frappe.generate_hash(length=32)
	write_submission(learner, JOURNAL_SEASON, name, entries, records, now + AHEAD)


def _entry(question: str, now: datetime) -> JournalEntry:
	return JournalEntry(
		question_id=question,
		kind="Review",
		quality=4,
		rating="Good",
		response_time_ms=2100,
		reviewed_at=now,
		stability_before=12.5,
		difficulty_before=5.2,
		next_review_date_before=now,
		predicted_recall=0.9,
		stability_after=31.2,
		difficulty_after=5.1,
		next_review_date_after=now + timedelta(days=31),
		source="Normal",
	)


def _record(question: str, now: datetime) -> MemoryRecord:
	return MemoryRecord(
		question_id=question,
		subject="Geography",
		topic="Geography: Chapter 01",
		stability=31.234567,
		difficulty=5.123456,
		state="Review",
		reps=5,
		lapses=1,
		next_review_date=(now + timedelta(days=31)).replace(hour=4, minute=0, second=0, microsecond=0),
		last_review_date=now,
		creation=now - timedelta(days=90),
	)


def _table_bytes(name: str, season: str) -> float:
	"""Returns the bytes of data and indexes in the season's partition, or in the whole table if it has no partitions."""
	frappe.db.commit()  # ANALYZE runs on another connection, which must see the rows
	database.query(f"ANALYZE TABLE `{name}`")
	((size,),) = database.query(BYTES_SQL, (name, tables.partition_name(season)))
	return float(size)
