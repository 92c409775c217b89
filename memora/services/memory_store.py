"""Every SQL statement on tracker, archive, journal and outbox.

One learner's memory of one question is a MemoryRecord. It lives in the outbox from the moment an
answer is journalled until it is folded into the tracker, so whoever reads memory reads the tracker
overlaid with the outbox. Each read here sees both in one snapshot, since a fold moves a record from the
one to the other in a single transaction.
"""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import date, datetime
from hashlib import blake2b
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

import frappe
import pymysql

from memora.exceptions import JournalUnavailable, SeasonStateError

# What a statement raises when MariaDB is not there, or did not get a lock in time.
DATABASE_FAILURES = (
	frappe.QueryDeadlockError,
	frappe.QueryTimeoutError,
	pymysql.err.OperationalError,
	pymysql.err.InterfaceError,
)

# Statements that fail with these fail for a reason that waiting may mend: locks, a server that is shutting
# down or read-only, a full disk, a lost connection (2000 and above).
TRANSIENT_ERRORS = {1021, 1028, 1040, 1053, 1114, 1180, 1205, 1213, 1290, 1317, 1836, 1927}
CLIENT_ERRORS_FROM = 2000

KEY_BYTES = 8  # of each hash in a name: learners of one site do not collide before billions of them
LOCK_WAIT_SECONDS = 5  # for another answer of the same learner; one takes milliseconds
NAME_LENGTH = 6 * KEY_BYTES  # hex digits of a journal row's name, the longest
PAGE_ROWS = 5000  # of a walk through a table, some MB
UPSERT_ROWS = 1000  # a statement of about 300 KB, far below any max_allowed_packet


@dataclass(frozen=True)
class MemoryRecord:
	"""A tracker row without its keys. Datetimes are naive site time; `creation` is the first answer."""

	question_id: str
	subject: str | None
	topic: str | None
	stability: float
	difficulty: float
	state: str
	reps: int
	lapses: int
	next_review_date: datetime
	last_review_date: datetime
	creation: datetime

	def as_json(self) -> list:
		"""The fields in order, datetimes as ISO texts: the outbox's payload is a list of these."""
		return [v.isoformat() if isinstance(v, datetime) else v for v in _tuple(self)]

	@classmethod
	def from_json(cls, values: Sequence) -> "MemoryRecord":
		return cls(*values[:-3], *(datetime.fromisoformat(v) for v in values[-3:]))

	@property
	def age(self) -> tuple[int, datetime]:
		"""Orders the records of one question: the newest answer wins. Each that moves the memory adds one
		repetition under the learner's lock, so that no clock that is set back can confuse the order."""
		return self.reps, self.last_review_date


@dataclass(frozen=True)
class JournalEntry:
	"""One answer. Datetimes are naive site time. Frappe's number columns hold no NULL: at a question's
	first sight (kind Learn) stability, difficulty and recall before it are 0; an unmeasured time is 0."""

	question_id: str
	kind: str
	quality: int
	rating: str
	response_time_ms: int
	reviewed_at: datetime
	stability_before: float
	difficulty_before: float
	next_review_date_before: datetime | None
	predicted_recall: float
	stability_after: float
	difficulty_after: float
	next_review_date_after: datetime
	source: str


class ActivityCount(NamedTuple):
	"""A submission's answers of one subject ("" where the question has none). `day` is the learning day as ISO
	text. Reviews are answers to what had been learnt before (kind Review), `recalled` those not forgotten."""

	day: str
	subject: str
	answers: int
	reviews: int
	recalled: int


@dataclass(frozen=True)
class OutboxRow:
	"""A submission waiting to be folded, the records it led to, and what it adds to the figures of its day."""

	name: str
	player: str
	season: str
	activity: list[ActivityCount]
	records: list[MemoryRecord]


class StoredAnswer(NamedTuple):
	"""What the journal knows of an answer. `due` is naive site time."""

	quality: int
	is_practice: bool
	due: datetime


class OutboxEntry(NamedTuple):
	"""A submission waiting to be folded, without what it holds. Datetimes are naive site time."""

	name: str
	player: str
	season: str
	accepted_at: datetime
	parked_at: datetime | None
	error: str | None


class Backlog(NamedTuple):
	"""Submissions that wait to be folded, those parked, and since when (naive site time) the oldest waits."""

	waiting: int
	parked: int
	oldest: datetime | None


def _columns(record: type) -> str:
	return ", ".join(f.name for f in fields(record))


def _placeholders(count: int) -> str:
	return ", ".join(["%s"] * count)


RECORD_COLUMNS = _columns(MemoryRecord)
RECORD_JSON = f"JSON_ARRAY({RECORD_COLUMNS})"  # as MemoryRecord.as_json, so that all reads are of payloads
JOURNAL_COLUMNS = _columns(JournalEntry)
KEEPS = "IF(VALUES(reps) > reps OR (VALUES(reps) = reps AND VALUES(last_review_date) >= last_review_date)"

# A learner's records of a few questions, and her outbox, in one statement. All records make one row: of rows
# and columns, not of bytes, the driver makes the cost.
FEW_RECORDS = 200  # far less than group_concat_max_len, 1 MiB, where the server would cut the row
RECORDS_BY_NAME_SQL = f"""
	SELECT JSON_ARRAYAGG({RECORD_JSON}) FROM `tabPlayer Memory Tracker`
	WHERE season = %(season)s AND name IN %(names)s
	UNION ALL SELECT payload FROM `tabReview Outbox`
	WHERE name BETWEEN %(first)s AND %(last)s AND season = %(season)s"""
# The same of any number of questions, and of all of a season: a row a record.
RECORDS_BY_MANY_NAMES_SQL = RECORDS_BY_NAME_SQL.replace("JSON_ARRAYAGG", "JSON_ARRAY")
RECORDS_OF_PLAYER_SQL = RECORDS_BY_MANY_NAMES_SQL.replace(
	"name IN %(names)s", "name BETWEEN %(first)s AND %(last)s"
)

# Whole schedules of several learners, a row a learner.
LEARNERS_SQL = """
	SELECT player, COUNT(*) FROM `tabPlayer Memory Tracker`
	WHERE season = %(season)s AND player > %(after)s GROUP BY player ORDER BY player LIMIT %(limit)s"""
LEARNER_AT_SQL = """
	SELECT COALESCE(
		(SELECT player FROM `tabPlayer Memory Tracker` WHERE season = %s AND name >= %s ORDER BY name LIMIT 1),
		(SELECT player FROM `tabPlayer Memory Tracker` WHERE season = %s ORDER BY name LIMIT 1))"""
MANY_RECORDS = 2000  # of one learner: group_concat_max_len would cut more
SCHEDULE_SQL = f"""
	SELECT %s, IF(COUNT(*) > {MANY_RECORDS}, NULL, JSON_ARRAYAGG(JSON_ARRAY(question_id, next_review_date)))
	FROM `tabPlayer Memory Tracker` WHERE season = %s AND name BETWEEN %s AND %s"""
WAITING_PLAYERS_SQL = "SELECT DISTINCT player FROM `tabReview Outbox` WHERE season = %s AND ({ranges})"

FIRST_SEEN_SQL = """
	SELECT question_id, creation FROM `tabPlayer Memory Tracker`
	WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s"""

OUTBOX_OF_PLAYER_SQL = """
	SELECT payload FROM `tabReview Outbox`
	WHERE name BETWEEN %(first)s AND %(last)s AND season = %(season)s"""

DUE_WHERE = """
	FROM `tabPlayer Memory Tracker`
	WHERE player = %(player)s AND season = %(season)s AND next_review_date <= %(now)s
	AND name NOT IN %(pending)s AND (%(subject)s IS NULL OR subject = %(subject)s)"""
DUE_SQL = f"SELECT JSON_ARRAY({RECORD_JSON}) {DUE_WHERE} ORDER BY next_review_date, name LIMIT %(limit)s"
DUE_COUNT_SQL = f"SELECT COUNT(*) {DUE_WHERE}"
NEXT_DUE_SQL = f"SELECT MIN(next_review_date) {DUE_WHERE.replace('<=', '>')}"

# Scans of a season: each statement goes through a share of its learners, since names begin with a hash of the
# learner. Or, of an index alone, through all of them.
DUE_DAY = """LEAST(GREATEST(
	DATEDIFF(next_review_date - INTERVAL %(day_start_hour)s HOUR, %(today)s), -1), %(days)s)"""
DUE_BY_DAY_SQL = f"""
	SELECT CAST({DUE_DAY} AS INT) AS due_day, COUNT(*) FROM `tabPlayer Memory Tracker` FORCE INDEX (schedule)
	WHERE season = %(season)s GROUP BY due_day"""
DUE_BY_DAY_OF_SHARE_SQL = DUE_BY_DAY_SQL.replace("FORCE INDEX (schedule)", "FORCE INDEX (PRIMARY)").replace(
	"GROUP BY", "AND name >= %(first)s AND name < %(last)s GROUP BY"
)
LEECHES_SQL = """
	SELECT lapses, player, question_id, subject, topic, reps, stability, difficulty, next_review_date
	FROM `tabPlayer Memory Tracker`
	WHERE season = %(season)s AND name >= %(first)s AND name < %(last)s AND lapses >= %(lapses)s
	AND (%(subject)s IS NULL OR subject = %(subject)s)
	ORDER BY lapses DESC, name LIMIT %(limit)s"""
LEECH_COUNTS_SQL = """
	SELECT COALESCE(subject, ''), COUNT(*) FROM `tabPlayer Memory Tracker`
	WHERE season = %(season)s AND name >= %(first)s AND name < %(last)s AND lapses >= %(lapses)s
	AND (%(subject)s IS NULL OR subject = %(subject)s) GROUP BY subject"""
LEARNERS_OVERVIEW_SQL = """
	SELECT player, COUNT(*), CAST(SUM(next_review_date <= %(now)s) AS INT), CAST(SUM(lapses) AS INT),
	AVG(stability), MIN(creation), MAX(last_review_date) FROM `tabPlayer Memory Tracker`
	WHERE season = %(season)s AND name >= %(first)s AND name < %(last)s GROUP BY player"""

# The newest answer wins, as MemoryRecord.age has it; what decides that is assigned last.
UPSERT_HEAD_SQL = f"""
	INSERT INTO `tabPlayer Memory Tracker`
	(name, player, season, {RECORD_COLUMNS}) VALUES """
UPSERT_TAIL_SQL = " ON DUPLICATE KEY UPDATE " + ", ".join(
	f"{column} = {KEEPS}, VALUES({column}), {column})"
	for column in (
		*("subject", "topic", "stability", "difficulty", "state", "lapses", "next_review_date"),
		*("last_review_date", "reps"),
	)
)

OVERWRITE_TAIL_SQL = " ON DUPLICATE KEY UPDATE " + ", ".join(
	f"{column} = VALUES({column})" for column in RECORD_COLUMNS.split(", ")
)

JOURNAL_HEAD_SQL = f"""
	INSERT INTO `tabPlayer Review Log` (name, player, season, submission_id, creation, {JOURNAL_COLUMNS}) VALUES """
JOURNAL_PAGE_SQL = f"""
	SELECT name, player, {JOURNAL_COLUMNS} FROM `tabPlayer Review Log`
	WHERE season = %(season)s AND name > %(after)s AND name <= %(last)s ORDER BY name LIMIT %(limit)s"""
JOURNAL_OF_SUBMISSION_SQL = """
	SELECT question_id, quality, kind = 'Practice', next_review_date_after FROM `tabPlayer Review Log`
	WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s"""

# What a form of the desk shows of one memory, live or archived, and of the answers that led to it.
MEMORY_SQL = f"SELECT player, season, {RECORD_COLUMNS} FROM `tab{{doctype}}` WHERE name = %s"
HISTORY_SQL = f"""
	SELECT name, {JOURNAL_COLUMNS} FROM `tabPlayer Review Log`
	WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s AND question_id = %(question_id)s
	ORDER BY reviewed_at DESC, name LIMIT %(limit)s"""
COUNT_ANSWERS_SQL = """
	SELECT COUNT(*) FROM `tabPlayer Review Log` WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s"""

# The row exists only if the season still takes answers: an archive run that closes the season
# waits for this lock or is seen by it.
OUTBOX_INSERT_SQL = """
	INSERT INTO `tabReview Outbox` (name, player, season, payload, activity, creation, modified)
	SELECT %(name)s, %(player)s, name, %(payload)s, %(activity)s, %(now)s, %(now)s
	FROM `tabGame Subscription Season` WHERE name = %(season)s AND is_active = 1"""
# The same for those that write to the tracker without an outbox row.
TAKES_RECORDS_SQL = """
	SELECT 1 FROM `tabGame Subscription Season`
	WHERE name = %(season)s AND archive_started_at IS NULL LOCK IN SHARE MODE"""
OUTBOX_OLDEST_SQL = """
	SELECT name FROM `tabReview Outbox` WHERE creation <= %(before)s AND parked_at IS NULL
	ORDER BY creation LIMIT %(limit)s"""
# By primary key: to lock in the order of creation would lock every row on the way, and keep out new ones.
OUTBOX_TAKE_SQL = """
	SELECT name, player, season, activity, payload FROM `tabReview Outbox`
	WHERE name IN %(names)s FOR UPDATE SKIP LOCKED"""
OUTBOX_OF_SEASON_SQL = """
	SELECT name FROM `tabReview Outbox` WHERE season = %(season)s AND parked_at IS NULL
	ORDER BY creation LIMIT %(limit)s"""
OUTBOX_PAGE_SQL = """
	SELECT name FROM `tabReview Outbox` WHERE (parked_at IS NOT NULL) = %(parked)s
	ORDER BY creation, name LIMIT %(limit)s OFFSET %(start)s"""
OUTBOX_ENTRIES_SQL = """
	SELECT name, player, season, creation, parked_at, error FROM `tabReview Outbox` WHERE name IN %(names)s"""
OUTBOX_DELETE_SQL = "DELETE FROM `tabReview Outbox` WHERE name IN %(names)s"
OUTBOX_PARK_SQL = "UPDATE `tabReview Outbox` SET parked_at = %(now)s, error = %(error)s WHERE name = %(name)s"
OUTBOX_PARKED_SQL = "SELECT name FROM `tabReview Outbox` WHERE parked_at IS NOT NULL LIMIT %(limit)s"
OUTBOX_UNPARK_SQL = "UPDATE `tabReview Outbox` SET parked_at = NULL, error = NULL WHERE parked_at IS NOT NULL"

OUTBOX_STATUS_SQL = (
	"SELECT IF(parked_at IS NULL, 'queued', 'parked') FROM `tabReview Outbox` WHERE name = %(name)s"
)
HAS_ANSWERS_SQL = "SELECT 1 FROM `tabPlayer Memory Tracker` LIMIT 1"
OUTBOX_BACKLOG_SQL = """
	SELECT COUNT(*) - COUNT(parked_at), COUNT(parked_at), MIN(IF(parked_at IS NULL, creation, NULL))
	FROM `tabReview Outbox`"""
IS_JOURNALLED_SQL = "SELECT 1 FROM `tabPlayer Review Log` WHERE name BETWEEN %(first)s AND %(last)s LIMIT 1"

ANY_ROW_SQL = {
	doctype: f"SELECT 1 FROM `tab{doctype}` WHERE season = %s LIMIT 1"
	for doctype in (
		"Player Memory Tracker",
		"Player Review Log",
		"Archived Memory Tracker",
		"Review Outbox",
	)
}


# Names


def digest(*parts: str) -> str:
	"""16 hex digits that stand for these texts."""
	return blake2b("\0".join(parts).encode(), digest_size=KEY_BYTES).hexdigest()


def tracker_name(player: str, season: str, question_id: str) -> str:
	"""The primary key of a tracker row: one learner's rows are neighbours on disk."""
	return digest(player) + digest(season, question_id)


def submission_key(player: str, season: str, submission_id: str) -> str:
	"""The name of a submission's outbox row, and how the names of its journal rows begin."""
	return digest(player) + digest(season, submission_id)


def is_of_player(key: str, player: str) -> bool:
	"""Whether a submission key is one of this learner's."""
	return key.startswith(digest(player))


def journal_name(player: str, season: str, submission_id: str, question_id: str) -> str:
	return submission_key(player, season, submission_id) + digest(question_id)


def names_of_player(player: str) -> tuple[str, str]:
	"""Bounds of the names of all her rows, in each of the three tables."""
	return tuple(_range(digest(player)).values())


def _range(prefix: str) -> dict[str, str]:
	"""Bounds of the names that begin with a prefix of hex digits."""
	return {"first": prefix, "last": prefix + "g"}


def is_transient(error: Exception) -> bool:
	"""Whether what failed may succeed when it is tried again unchanged."""
	if isinstance(error, frappe.QueryDeadlockError | frappe.QueryTimeoutError | pymysql.err.InterfaceError):
		return True
	code = error.args[0] if isinstance(error, pymysql.err.MySQLError) and error.args else 0
	return code in TRANSIENT_ERRORS or code >= CLIENT_ERRORS_FROM


# One learner at a time


@contextmanager
def player_lock(player: str) -> Iterator[None]:
	"""Serialises what changes one learner's memory, across all processes and hosts.

	Inside it a new transaction has begun, so that reads see what the last holder committed. Raises
	JournalUnavailable when another request of the same learner holds it for LOCK_WAIT_SECONDS.
	"""
	with named_lock(player, LOCK_WAIT_SECONDS) as is_mine:
		if not is_mine:
			JournalUnavailable.throw(
				frappe._("Another answer of yours is still being saved. Send this one again.")
			)
		new_snapshot()
		yield


@contextmanager
def named_lock(name: str, wait_seconds: int) -> Iterator[bool]:
	"""A lock of this site that one connection holds at a time, across all hosts; yields whether it does.

	It goes with its connection, so that nobody who has died keeps it.
	"""
	key = _lock_key(name)
	is_mine = bool(frappe.db.sql("SELECT GET_LOCK(%s, %s)", (key, wait_seconds))[0][0])
	try:
		yield is_mine
	finally:
		if is_mine:
			with suppress(*DATABASE_FAILURES):  # a lost connection has released it
				frappe.db.sql("SELECT RELEASE_LOCK(%s)", (key,))


def is_locked(name: str) -> bool:
	"""Whether anybody holds a named_lock."""
	return frappe.db.sql("SELECT IS_USED_LOCK(%s)", (_lock_key(name),))[0][0] is not None


def _lock_key(name: str) -> str:
	return "memora:" + digest(frappe.conf.db_name, name)


def new_snapshot() -> None:
	"""Ends the transaction's view of the past: the next read sees all that is committed.

	What the caller had written before, if anything, is committed first.
	"""
	if frappe.db.transaction_writes:
		frappe.db.commit()  # nosemgrep: frappe-manual-commit: a snapshot can only be renewed between transactions
	else:
		frappe.db.begin()


@contextmanager
def read_committed() -> Iterator[None]:
	"""Lets the transactions of this block lock rows without the gaps between them, into which others
	insert meanwhile. For writers that decide nothing by what they read twice."""
	frappe.db.sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
	new_snapshot()  # the level applies from the next transaction on
	try:
		yield
	finally:
		with suppress(*DATABASE_FAILURES):
			frappe.db.sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")


@contextmanager
def transaction() -> Iterator[None]:
	"""Commits the block's writes together; on any error, also a failed commit, none of them stays."""
	try:
		yield
		frappe.db.commit()  # nosemgrep: frappe-manual-commit: an answer is acknowledged only when committed
	except BaseException:
		with suppress(pymysql.err.Error):  # a lost connection has rolled back already
			frappe.db.rollback()
		raise


# Reads


def get_records(player: str, season: str, question_ids: Iterable[str]) -> dict[str, MemoryRecord]:
	"""A learner's records of these questions by question_id, tracker overlaid with outbox; one query.

	Records of her outbox come along whether asked for or not.
	"""
	names = [tracker_name(player, season, q) for q in question_ids] or [""]
	statement = RECORDS_BY_NAME_SQL if len(names) <= FEW_RECORDS else RECORDS_BY_MANY_NAMES_SQL
	return _overlay(frappe.db.sql(statement, _of_player(player, season, names=names)))


def get_all_records(player: str, season: str) -> dict[str, MemoryRecord]:
	"""All of a learner's records in a season by question_id, tracker overlaid with outbox; one query."""
	return _overlay(frappe.db.sql(RECORDS_OF_PLAYER_SQL, _of_player(player, season)))


def get_learners(season: str, after: str = "", limit: int = 1000) -> list[tuple[str, int]]:
	"""The next learners of a season by name, and how many records each has in the tracker; an index scan."""
	values = {"season": season, "after": after, "limit": limit}
	return list(frappe.db.sql(LEARNERS_SQL, values))


def pick_learners(season: str, how_many: int) -> set[str]:
	"""At most so many learners of a season, drawn at random; each costs one lookup in the primary key.

	Names begin with a hash of the learner, so a random place in the key is a random learner.
	"""
	places = [v for _ in range(how_many) for v in (season, f"{random.getrandbits(64):016x}", season)]
	rows = frappe.db.sql(" UNION ALL ".join([LEARNER_AT_SQL] * how_many), places)
	return {player for (player,) in rows if player}


def get_schedules(season: str, players: Sequence[str]) -> dict[str, dict[str, str]]:
	"""Whole schedules, {player: {question_id: next_review_date as ISO text}}, tracker overlaid with outbox.

	Two queries, and one for each learner of whom answers wait to be folded.
	"""
	if not players:
		return {}
	bounds = {player: tuple(_range(digest(player)).values()) for player in players}
	ranges = " OR ".join(["name BETWEEN %s AND %s"] * len(bounds))
	statement = WAITING_PLAYERS_SQL.format(ranges=ranges)
	waiting = {p for (p,) in frappe.db.sql(statement, (season, *chain.from_iterable(bounds.values())))}
	statement = " UNION ALL ".join([SCHEDULE_SQL] * len(bounds))
	values = [value for player, pair in bounds.items() for value in (player, season, *pair)]
	return {
		player: _schedule(player, season)
		if player in waiting or payload is None
		else dict(json.loads(payload))
		for player, payload in frappe.db.sql(statement, values)
	}


def _schedule(player: str, season: str) -> dict[str, str]:
	records = get_all_records(player, season)
	return {q: record.next_review_date.isoformat(" ") for q, record in records.items()}


def get_due(
	player: str, season: str, now: datetime, limit: int, subject: str | None = None
) -> tuple[list[MemoryRecord], int]:
	"""The records due at `now` (naive site time), oldest first, and how many there are in all."""
	pending = _get_pending(player, season)
	names = [tracker_name(player, season, q) for q in pending] or [""]
	values = _of_player(player, season, now=now, subject=subject, pending=names, limit=limit)
	stored = [record for (payload,) in frappe.db.sql(DUE_SQL, values) for record in _unpack(payload)]
	total = frappe.db.sql(DUE_COUNT_SQL, values)[0][0] if len(stored) == limit else len(stored)
	fresh = [r for r in pending.values() if r.next_review_date <= now and subject in (None, r.subject)]
	due = sorted([*stored, *fresh], key=lambda r: (r.next_review_date, r.question_id))
	return due[:limit], total + len(fresh)


def get_next_due(player: str, season: str, now: datetime, subject: str | None = None) -> datetime | None:
	"""When (naive site time) the first of the records that are not due yet falls due; None where there is none."""
	pending = _get_pending(player, season)
	names = [tracker_name(player, season, q) for q in pending] or [""]
	values = _of_player(player, season, now=now, subject=subject, pending=names)
	((stored,),) = frappe.db.sql(NEXT_DUE_SQL, values)
	fresh = [
		r.next_review_date
		for r in pending.values()
		if r.next_review_date > now and subject in (None, r.subject)
	]
	return min([*fresh, *([stored] if stored else [])], default=None)


def get_first_seen(player: str, season: str) -> dict[str, datetime]:
	"""When (naive site time) a learner first answered each question of a season she has seen."""
	stored = dict(frappe.db.sql(FIRST_SEEN_SQL, _of_player(player, season)))
	return {**{q: record.creation for q, record in _get_pending(player, season).items()}, **stored}


def _get_pending(player: str, season: str) -> dict[str, MemoryRecord]:
	"""The records in a learner's outbox."""
	rows = frappe.db.sql(OUTBOX_OF_PLAYER_SQL, _of_player(player, season))
	return _overlay(rows)


def _of_player(player: str, season: str, **more) -> dict:
	return {"player": player, "season": season, **_range(digest(player)), **more}


def _overlay(rows: Iterable[tuple[str | None]]) -> dict[str, MemoryRecord]:
	"""Merges rows of one payload each: of several records of a question the newest one."""
	records: dict[str, MemoryRecord] = {}
	for (payload,) in rows:
		for record in _unpack_readable(payload or "[]"):
			known = records.get(record.question_id)
			if not known or record.age >= known.age:
				records[record.question_id] = record
	return records


def _unpack(payload: str) -> list[MemoryRecord]:
	return [MemoryRecord.from_json(values) for values in json.loads(payload)]


def _unpack_readable(payload: str) -> list[MemoryRecord]:
	"""A payload that can't be read is the sweeper's to park; it must not stop a learner's reads."""
	try:
		return _unpack(payload)
	except (ValueError, TypeError):
		return []


def get_submission(player: str, season: str, submission_id: str) -> dict[str, StoredAnswer]:
	"""What the journal holds of a submission, by question_id; one query."""
	values = {"season": season, **_range(submission_key(player, season, submission_id))}
	rows = frappe.db.sql(JOURNAL_OF_SUBMISSION_SQL, values)
	return {q: StoredAnswer(quality, bool(is_practice), due) for q, quality, is_practice, due in rows}


def get_memory(doctype: str, name: str) -> tuple[str, str, MemoryRecord] | None:
	"""(player, season, record) of a row of the tracker or of the archive."""
	rows = frappe.db.sql(MEMORY_SQL.format(doctype=doctype), (name,))
	return (*rows[0][:2], MemoryRecord(*rows[0][2:])) if rows else None


def get_history(player: str, season: str, question_id: str, limit: int) -> list[tuple[str, JournalEntry]]:
	"""(name, answer) of a learner's last answers to one question, the newest first; reads her part of the
	journal's primary key."""
	values = _of_player(player, season, question_id=question_id, limit=limit)
	return [(name, JournalEntry(*fields_)) for name, *fields_ in frappe.db.sql(HISTORY_SQL, values)]


def count_answers(player: str, season: str, submission_id: str) -> int:
	"""How many answers of a submission are in the journal."""
	values = {"season": season, **_range(submission_key(player, season, submission_id))}
	return frappe.db.sql(COUNT_ANSWERS_SQL, values)[0][0]


def iterate_journal(season: str, player: str | None = None) -> Iterator[tuple[str, JournalEntry]]:
	"""(player, answer) of a season, or of one learner in it; each learner's answers in one run, unsorted."""
	first = digest(player) if player else ""
	after, last = first, (first or "f" * NAME_LENGTH) + "g"
	while True:
		new_snapshot()  # a long one would keep partitions from being made
		values = {"season": season, "after": after, "last": last, "limit": PAGE_ROWS}
		rows = frappe.db.sql(JOURNAL_PAGE_SQL, values)
		yield from ((player_of_row, JournalEntry(*fields_)) for _name, player_of_row, *fields_ in rows)
		if len(rows) < PAGE_ROWS:
			return
		after = rows[-1][0]


def shares(how_many: int) -> list[dict[str, str]]:
	"""Bounds that part the names, and with them the learners, into so many shares of about the same size."""
	bounds = [f"{(number << 64) // how_many:016x}" for number in range(how_many)]
	return [{"first": a, "last": b} for a, b in zip(bounds, [*bounds[1:], "g"], strict=True)]


def get_due_by_day(
	season: str, today: date, days: int, day_start_hour: int, share: dict[str, str] | None = None
) -> dict[int, int]:
	"""How many records of a season, or of a share of its learners, fall due how many days after `today`: {day: records}.

	-1 stands for all that was due before, `days` for all from then on. Without a share it is one scan of an
	index, which takes about 0.5 s a million records; what waits in the outbox counts as it was before.
	"""
	values = {"season": season, "today": today, "days": days, "day_start_hour": day_start_hour}
	statement = DUE_BY_DAY_OF_SHARE_SQL if share else DUE_BY_DAY_SQL
	return dict(frappe.db.sql(statement, values | (share or {})))


def get_leeches(
	season: str, share: dict[str, str], lapses: int, subject: str | None, limit: int
) -> list[tuple]:
	"""Rows of LEECHES_SQL: the questions of a share of the learners that were forgotten most often."""
	values = {"season": season, **share, "lapses": lapses, "subject": subject, "limit": limit}
	return list(frappe.db.sql(LEECHES_SQL, values))


def count_leeches(season: str, share: dict[str, str], lapses: int, subject: str | None) -> dict[str, int]:
	"""How many such questions there are, by subject."""
	values = {"season": season, **share, "lapses": lapses, "subject": subject}
	return dict(frappe.db.sql(LEECH_COUNTS_SQL, values))


def get_learner_overviews(season: str, share: dict[str, str], now: datetime) -> list[tuple]:
	"""Rows of LEARNERS_OVERVIEW_SQL: what each of a share of the learners knows."""
	return list(frappe.db.sql(LEARNERS_OVERVIEW_SQL, {"season": season, **share, "now": now}))


def has_rows(doctype: str, season: str) -> bool:
	"""Whether a season has any row in one of the four tables; costs one lookup."""
	return bool(frappe.db.sql(ANY_ROW_SQL[doctype], (season,)))


# Writes


def write_submission(
	player: str,
	season: str,
	submission_id: str,
	entries: list[JournalEntry],
	records: list[MemoryRecord],
	now: datetime,
	activity: Sequence[ActivityCount] = (),
) -> str:
	"""Writes an accepted submission, two statements, and returns the name of its outbox row.

	The caller commits. Raises SeasonStateError when the season takes no answers any more; then the
	transaction must be rolled back.
	"""
	key = submission_key(player, season, submission_id)
	rows = [(key + digest(e.question_id), player, season, submission_id, now, *_tuple(e)) for e in entries]
	insert(JOURNAL_HEAD_SQL, rows)
	values = {"name": key, "player": player, "season": season, "activity": json.dumps(activity), "now": now}
	payload = json.dumps([record.as_json() for record in records], separators=(",", ":"))
	frappe.db.sql(OUTBOX_INSERT_SQL, {**values, "payload": payload})
	if frappe.db._cursor.rowcount != 1:
		frappe.throw(frappe._("Season {0} takes no answers any more.").format(season), SeasonStateError)
	return key


def keep_from_archive(season: str) -> None:
	"""Has an archive run of the season wait for the end of this transaction, in which records are written.

	Raises SeasonStateError where one has begun.
	"""
	if not frappe.db.sql(TAKES_RECORDS_SQL, {"season": season}):
		frappe.throw(
			frappe._("Season {0} is being archived or is archived.").format(season), SeasonStateError
		)


def upsert_records(player: str, season: str, records: Iterable[MemoryRecord]) -> None:
	"""Writes a learner's records to the tracker, each unless a newer one is there."""
	_upsert([(player, season, record) for record in records])


def overwrite_records(player: str, season: str, records: Iterable[MemoryRecord]) -> None:
	"""Writes a learner's records to the tracker whatever is there; for repairs."""
	_upsert([(player, season, record) for record in records], OVERWRITE_TAIL_SQL)


def _upsert(records: list[tuple[str, str, MemoryRecord]], tail: str = UPSERT_TAIL_SQL) -> None:
	rows = [
		(tracker_name(player, season, r.question_id), player, season, *_tuple(r))
		for player, season, r in records
	]
	rows.sort(
		key=itemgetter(0)
	)  # by primary key: neighbours on disk, and an order in which two folds can't deadlock
	for start in range(0, len(rows), UPSERT_ROWS):
		insert(UPSERT_HEAD_SQL, rows[start : start + UPSERT_ROWS], tail)


def take_outbox(names: list[str]) -> list[OutboxRow]:
	"""Locks outbox rows until the transaction ends, but for those that are gone or locked already.

	Raises ValueError or TypeError where a payload can't be read.
	"""
	if not names:
		return []
	rows = frappe.db.sql(OUTBOX_TAKE_SQL, {"names": names})
	return [
		OutboxRow(name, player, season, unpack_activity(activity), _unpack(payload))
		for name, player, season, activity, payload in rows
	]


def unpack_activity(activity: str | None) -> list[ActivityCount]:
	"""What an outbox row's column holds; nothing where an earlier version has written the row."""
	return [ActivityCount(*values) for values in json.loads(activity or "[]")]


def fold_rows(rows: list[OutboxRow]) -> None:
	"""Moves rows taken from the outbox into the tracker; the caller's transaction makes it one step."""
	if not rows:
		return
	_upsert([(row.player, row.season, record) for row in rows for record in row.records])
	frappe.db.sql(OUTBOX_DELETE_SQL, {"names": [row.name for row in rows]})


def park_outbox(name: str, error: str, now: datetime) -> None:
	"""Takes a row out of the sweeper's way, with the reason it could not be folded."""
	frappe.db.sql(OUTBOX_PARK_SQL, {"name": name, "error": error, "now": now})


def get_parked(limit: int) -> list[str]:
	"""Names of parked rows."""
	return [n for (n,) in frappe.db.sql(OUTBOX_PARKED_SQL, {"limit": limit})]


def unpark_outbox() -> int:
	"""Puts all parked rows back; how many there were."""
	frappe.db.sql(OUTBOX_UNPARK_SQL)
	return frappe.db._cursor.rowcount


def get_outbox_status(key: str) -> str | None:
	"""`queued` or `parked` while a submission waits to be folded, else None."""
	rows = frappe.db.sql(OUTBOX_STATUS_SQL, {"name": key})
	return rows[0][0] if rows else None


def has_answers() -> bool:
	"""Whether anybody has learnt anything that is not archived."""
	return bool(frappe.db.sql(HAS_ANSWERS_SQL))


def get_backlog() -> Backlog:
	"""What waits in the outbox."""
	return Backlog(*frappe.db.sql(OUTBOX_BACKLOG_SQL)[0])


def is_journalled(key: str) -> bool:
	"""Whether there is a submission of this key; costs one lookup in each partition."""
	return bool(frappe.db.sql(IS_JOURNALLED_SQL, _range(key)))


def oldest_outbox(before: datetime, limit: int) -> list[str]:
	"""Names of the rows created at or before a naive site time, oldest first, parked ones left out."""
	return [n for (n,) in frappe.db.sql(OUTBOX_OLDEST_SQL, {"before": before, "limit": limit})]


def outbox_of_season(season: str, limit: int) -> list[str]:
	"""Names of a season's rows, oldest first, parked ones left out."""
	return [n for (n,) in frappe.db.sql(OUTBOX_OF_SEASON_SQL, {"season": season, "limit": limit})]


def page_of_outbox(parked: bool, start: int, limit: int) -> list[str]:
	"""Names of the parked rows, or of the others, oldest first."""
	values = {"parked": parked, "start": start, "limit": limit}
	return [n for (n,) in frappe.db.sql(OUTBOX_PAGE_SQL, values)]


def get_outbox_entries(names: list[str]) -> dict[str, OutboxEntry]:
	"""Those of these rows that are there, by name."""
	if not names:
		return {}
	rows = frappe.db.sql(OUTBOX_ENTRIES_SQL, {"names": names})
	return {row[0]: OutboxEntry(*row) for row in rows}


def _tuple(record: MemoryRecord | JournalEntry) -> tuple:
	return tuple(vars(record).values())  # dataclasses.astuple copies each value


def insert(head: str, rows: list[tuple], tail: str = "") -> None:
	"""One statement, `INSERT INTO … VALUES`, of all rows; none where there is no row."""
	if not rows:
		return
	one = f"({_placeholders(len(rows[0]))})"
	frappe.db.sql(head + ", ".join([one] * len(rows)) + tail, tuple(v for row in rows for v in row))
