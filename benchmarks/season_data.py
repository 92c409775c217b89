"""Makes seasons for benchmarks, fills them with millions of rows, and removes them with all their rows.

To fill a season, MariaDB multiplies three small tables: learners, questions, and memories that the app's own scheduler
has computed. The rows go into a table beside the tracker, in order of primary key. Then the index of that table is
built in one go, and the table becomes the season's partition. Answers would have led to the same layout, with pages
less full. Equal seeds give equal rows on the same day.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import frappe
from tenacity import retry, retry_if_exception, stop_after_attempt

from benchmarks import site
from devtools.report import Failure, step
from memora.services import site_time
from memora.services.learning import scheduling
from memora.services.store import database, ddl, failures, partitions, row_names, swap, tables
from memora.services.store.database import Connection, Cursor

SEED = 20260904
QUESTIONS_EACH = 1000  # for each learner: about six new questions on each day of a school year
WRITERS = 2  # connections that insert; more connections gain nothing on two cores
DEADLOCK, DEADLOCKS = 1213, 5  # MariaDB's error, and how often a statement may meet it
LEARNERS_A_STATEMENT = 100  # about 100,000 rows, which one transaction must be able to undo
DISK_BYTES_PER_ROW = 700  # row and index, the files that sort the index, and a reserve of the same size

SUBJECTS = ("Biology", "Geography", "History", "Mathematics")
QUESTIONS_A_TOPIC = 25
MEMORIES = 4096  # each row takes one of these
DAYS = 150  # since the season began
LATE_DAYS = 2.0  # average time from the due date to the review
QUALITIES, FREQUENCIES = (1, 3, 4, 5), (15, 10, 60, 15)

TABLES = ("memora_fill_learner", "memora_fill_question", "memora_fill_memory", "memora_fill_row")
LEARNERS, QUESTIONS, MEMORY, ROWS = TABLES
CREATE_SQL = (
	f"CREATE TABLE {LEARNERS} (player CHAR(16) CHARACTER SET ascii PRIMARY KEY) ENGINE = Aria",
	f"""CREATE TABLE {QUESTIONS} (digest CHAR(16) CHARACTER SET ascii PRIMARY KEY, question_id VARCHAR(140),
	subject VARCHAR(140), topic VARCHAR(140)) ENGINE = Aria""",
	f"""CREATE TABLE {MEMORY} (slot INT PRIMARY KEY, stability DECIMAL(21, 9), difficulty DECIMAL(21, 9),
	state VARCHAR(20), reps INT, lapses INT, next_review_date DATETIME(6), last_review_date DATETIME(6),
	creation DATETIME(6)) ENGINE = MEMORY""",
	f"CREATE TABLE {ROWS} LIKE `{swap.TRACKER}`",
	f"ALTER TABLE {ROWS} REMOVE PARTITIONING",
	f"ALTER TABLE {ROWS} DROP INDEX schedule",
)
INDEX_SQL = f"ALTER TABLE {ROWS} ADD INDEX schedule ({', '.join(tables.SCHEDULE_INDEX['schedule'])})"
SESSION_SQL = "SET unique_checks = 0, foreign_key_checks = 0, join_cache_level = 0"
# Both tables are stored and read in order of their keys, so the new rows come in order of their primary key.
INSERT_SQL = f"""
	INSERT INTO {ROWS} (name, player, season, question_id, subject, topic, stability, difficulty, state, reps,
	lapses, next_review_date, last_review_date, creation)
	SELECT STRAIGHT_JOIN CONCAT(l.player, q.digest), l.player, %(season)s, q.question_id, q.subject, q.topic,
	m.stability, m.difficulty, m.state, m.reps, m.lapses, m.next_review_date, m.last_review_date, m.creation
	FROM {LEARNERS} l JOIN {QUESTIONS} q
	JOIN {MEMORY} m ON m.slot = CRC32(CONCAT(l.player, q.digest)) %% {MEMORIES}
	WHERE l.player BETWEEN %(first)s AND %(last)s"""


def _is_deadlock(error: BaseException) -> bool:
	return failures.number_of(error) == DEADLOCK


def learner(number: int) -> str:
	"""Returns the id of a learner. Every filled season has these learners, who have no User."""
	return row_names.digest(f"learner{number:05}")


def question_id(number: int) -> str:
	"""Returns the id of a question, 12 characters long."""
	return f"question{number:04}"


@contextmanager
def season(name: str) -> Iterator[None]:
	"""Makes an inactive season with partitions and without rows, and removes it with all its rows after the block."""
	remove(name)  # a killed run may have left the season
	today = date.today()
	dates = {"start_date": today - timedelta(days=DAYS), "end_date": today + timedelta(days=DAYS)}
	frappe.get_doc({"doctype": "Game Subscription Season", "season_name": name, **dates}).insert()
	frappe.db.commit()
	try:
		yield
	finally:
		with step(f"Removing {name}"):
			remove(name)


def remove(name: str) -> None:
	"""Removes a season and all its rows, including those in the staging tables of a run that died."""
	frappe.db.rollback()
	site.delete_figures(name)
	frappe.db.delete("Review Outbox", {"season": name})
	frappe.db.delete("Game Subscription Season", {"name": name})
	frappe.db.commit()
	for table in (*TABLES, swap.staging_table(name)):
		ddl.execute_ddl(f"DROP TABLE IF EXISTS `{table}`")
	for doctype in tables.INDEXES:
		if any(p["season"] == name for p in tables.list_partitions(doctype)):
			partitions.empty_partition(doctype, name)
	partitions.drop_partition(name)


def fill(name: str, learners: int, questions_each: int = QUESTIONS_EACH, seed: int = SEED) -> int:
	"""Fills a season that has no rows, and returns how many rows it has then. Each learner has a record of each question."""
	rows = learners * questions_each
	_check_disk(rows)
	frappe.db.commit()  # a transaction that has read the tracker would block the swap
	with ExitStack() as stack:
		connections = [stack.enter_context(database.connection()) for _ in range(WRITERS)]
		stack.callback(_drop_tables)
		_drop_tables()
		digests = _create_tables(connections[0], name, learners, questions_each, seed)
		inserted = _insert(connections, name, digests)
		if inserted != rows:
			raise Failure(f"{inserted:,} rows were inserted instead of {rows:,}")
		ddl.execute_ddl(INDEX_SQL)
		partition = tables.partition_name(name)
		ddl.execute_ddl(f"ALTER TABLE `{swap.TRACKER}` EXCHANGE PARTITION {partition} WITH TABLE {ROWS}")
	frappe.db.commit()  # the next read must see the new rows
	return rows


def _check_disk(rows: int) -> None:
	((directory,),) = frappe.db.sql("SELECT @@datadir")
	free, needed = shutil.disk_usage(directory).free, rows * DISK_BYTES_PER_ROW
	if free < needed:
		raise Failure(f"{rows:,} rows need {needed:,} bytes in {directory}, where {free:,} are free")


def _drop_tables() -> None:
	for table in TABLES:
		ddl.execute_ddl(f"DROP TABLE IF EXISTS {table}")


def _create_tables(
	connection: Connection, name: str, learners: int, questions_each: int, seed: int
) -> list[str]:
	"""Makes the three small tables, and the table for the rows. Returns the learners in order."""
	named = sorted(map(learner, range(learners)))
	with connection.cursor() as cursor:
		for statement in CREATE_SQL:
			cursor.execute(statement)
		_insert_all(cursor, LEARNERS, [(name,) for name in named])
		_insert_all(cursor, QUESTIONS, sorted(_questions(name, questions_each)))
		_insert_all(cursor, MEMORY, list(_memories(seed)))
	return named


def _insert_all(cursor: Cursor, table: str, rows: list[tuple[Any, ...]]) -> None:
	cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)


def _insert(connections: list[Any], name: str, digests: list[str]) -> int:
	"""Inserts all rows, and returns how many. Each connection inserts the rows of a share of the learners."""

	def run(number: int) -> int:
		share = digests[number * len(digests) // WRITERS : (number + 1) * len(digests) // WRITERS]
		with connections[number].cursor() as cursor:
			cursor.execute(SESSION_SQL)
			chunks = (share[n : n + LEARNERS_A_STATEMENT] for n in range(0, len(share), LEARNERS_A_STATEMENT))
			return sum(_insert_chunk(cursor, name, chunk) for chunk in chunks)

	with ThreadPoolExecutor(WRITERS) as pool:
		return sum(pool.map(run, range(WRITERS)))


@retry(retry=retry_if_exception(_is_deadlock), stop=stop_after_attempt(DEADLOCKS), reraise=True)
def _insert_chunk(cursor: Cursor, name: str, digests: list[str]) -> int:
	"""Inserts some learners' rows in one transaction, and returns how many.

	The first insert into an empty table locks the whole table, so two first inserts can deadlock.
	"""
	return cursor.execute(INSERT_SQL, {"season": name, "first": digests[0], "last": digests[-1]})


def _questions(name: str, how_many: int) -> Iterator[tuple[str, ...]]:
	for number in range(how_many):
		subject = SUBJECTS[number // QUESTIONS_A_TOPIC % len(SUBJECTS)]
		topic = f"{subject}: Chapter {number // QUESTIONS_A_TOPIC // len(SUBJECTS) + 1:02}"
		yield row_names.digest(name, question_id(number)), question_id(number), subject, topic


def _memories(seed: int) -> Iterator[tuple[Any, ...]]:
	"""Yields memories after the answers of DAYS days. Some questions are overdue, most fall due in days to months."""
	now = site_time.now().replace(hour=12, minute=0, second=0, microsecond=0)
	calendar = scheduling.LearningCalendar(site_time.site_zone())
	for slot in range(MEMORIES):
		random = Random(f"{seed}:{slot}")
		moment = first = now - timedelta(days=DAYS * random.random())
		memory = None
		while moment < now:
			(quality,) = random.choices(QUALITIES, FREQUENCIES)
			memory = scheduling.review(
				memory,
				quality,
				moment,
				seed=f"{seed}:{slot}",
				calendar=calendar,
				season_end=(now + timedelta(days=DAYS)).date(),
			).memory
			moment = memory.due + timedelta(days=random.expovariate(1 / LATE_DAYS))
		assert memory is not None  # the first answer lies in the past
		yield slot, *_values(memory), _naive(first)


def _values(memory: scheduling.Memory) -> tuple[Any, ...]:
	figures = (memory.stability, memory.difficulty, memory.state, memory.reps, memory.lapses)
	return *figures, _naive(memory.due), _naive(memory.last_review)


def _naive(moment: datetime) -> datetime:
	return moment.replace(tzinfo=None)
