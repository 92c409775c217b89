"""Checks what must hold after every fault, with plain SQL and Redis commands."""

import re
from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

from tests.faults.classroom import READ_LIMIT, Classroom, Device, Learner, epoch
from tests.faults.furnish import SEED_SUBMISSION
from tests.faults.stage import Stage
from tests.integration.waiting import wait_until

SECONDS_TO_FOLD = 30
SECONDS_TO_HEAL = 20  # a process asks a Redis that failed again after 5 s
SCORE_SECONDS = 0.001  # of rounding: Redis prints 17 digits

JOURNAL_SQL = """
	SELECT player, submission_id, question_id, quality, kind, reviewed_at, stability_after, next_review_date_after
	FROM `tabPlayer Review Log` WHERE season = %s ORDER BY reviewed_at"""
TRACKER_SQL = """
	SELECT player, question_id, reps, stability, next_review_date
	FROM `tabPlayer Memory Tracker` WHERE season = %s"""
OUTBOX_SQL = "SELECT COUNT(*), COUNT(parked_at) FROM `tabReview Outbox`"


class Audit:
	def __init__(self, stage: Stage, room: Classroom, season: str, zone: ZoneInfo) -> None:
		self.stage, self.room, self.season, self.zone = stage, room, season, zone

	def check_all(self) -> None:
		assert not self.room.ledger.wrong, self.room.ledger.wrong[:10]
		self.drain()
		self.check_journal()
		self.check_tracker()
		self.check_replay()
		for device in self.room.devices[: len(self.room.learners)]:
			device.url = self.room.url
			self.check_cache(device)

	def drain(self) -> None:
		"""Folds everything, as the sweeper does every minute. Tries again while a worker holds rows."""

		def is_empty() -> bool:
			with suppress(AssertionError):  # it exits with 1 while a worker holds rows
				self.stage.bench_command("memora", "drain")
			waiting, parked = self.stage.sql(OUTBOX_SQL)[0]
			assert not parked, f"{parked} submissions are parked"
			return not waiting

		wait_until(is_empty, "an empty outbox", SECONDS_TO_FOLD)

	def check_journal(self) -> None:
		"""Every acknowledged answer once, and none that was not sent."""
		rows = self.stage.sql(JOURNAL_SQL, self.season)
		found = [
			(player, submission, question, quality) for player, submission, question, quality, *_ in rows
		]
		found = [row for row in found if row[1] != SEED_SUBMISSION]
		assert len(found) == len(set(found)), "an answer is journalled twice"
		sent = self._answers(self.room.ledger.sent)
		acknowledged = self._answers(self.room.ledger.acknowledged)
		assert not (lost := acknowledged - set(found)), f"{len(lost)} lost: {sorted(lost)[:3]}"
		assert not (strange := set(found) - sent), f"{len(strange)} never sent: {sorted(strange)[:3]}"

	def _answers(self, submissions) -> set[tuple[str, str, str, int]]:
		sent = self.room.ledger.sent
		return {
			(sent[s][0], s, question, quality)
			for s in submissions
			for question, quality in sent[s][1].items()
		}

	def check_tracker(self) -> None:
		"""The tracker counts as many repetitions as the journal has rows, and has the state of the last row.

		Practice is left out, as which all answers to a question count that follow the first one of a day.
		"""
		journal = defaultdict(list)
		for player, _submission, question, _quality, kind, *after in self.stage.sql(JOURNAL_SQL, self.season):
			if kind != "Practice":
				journal[player, question].append(after)
		tracker = {(player, q): values for player, q, *values in self.stage.sql(TRACKER_SQL, self.season)}
		expected = {key: [len(rows), *rows[-1][1:]] for key, rows in journal.items()}
		wrong = {key: (expected.get(key), tracker.get(key)) for key in expected.keys() | tracker.keys()}
		wrong = {key: (want, got) for key, (want, got) in wrong.items() if want != got}
		assert not wrong, f"{len(wrong)} tracker rows differ, journal first: {list(wrong.items())[:3]}"

	def check_replay(self) -> None:
		report = self.stage.bench_command("memora", "replay", "--season", self.season)
		assert report["differences"] == 0, report
		assert report["learners"] == len(self.room.learners)

	def check_cache(self, device: Device) -> None:
		"""One read, and the schedule in Redis is the tracker's; what the read shows is what is due there."""
		learner = device.learner
		shown = self._read_undegraded(device)
		rows = self.stage.sql(TRACKER_SQL + " AND player = %s", self.season, learner.name)
		dates = {question: due for _player, question, _reps, _stability, due in rows}
		assert sorted(shown) == sorted(q for q, due in dates.items() if self._is_due(due))[:READ_LIMIT]
		cached = self._cached(learner)
		scores = {question: epoch(due, self.zone) for question, due in dates.items()}
		assert cached.keys() == scores.keys(), cached.keys() ^ scores.keys()
		wrong = {q: (s, cached[q]) for q, s in scores.items() if abs(s - cached[q]) > SCORE_SECONDS}
		assert not wrong, f"{learner.name}: {wrong}, tracker first"
		assert not self.room.ledger.wrong, self.room.ledger.wrong[:10]

	def _read_undegraded(self, device: Device) -> list[str]:
		"""A reply of Safe Mode does not load the cache: a process may still leave Redis alone for 5 s."""
		shown: list[str] = []

		def is_undegraded() -> bool:
			before = self.room.in_safe_mode, len(self.room.ledger.failures)
			shown[:] = device.read()
			return before == (self.room.in_safe_mode, len(self.room.ledger.failures))

		wait_until(is_undegraded, "a read from Redis", SECONDS_TO_HEAL)
		return shown

	def _is_due(self, due: datetime) -> bool:
		return due <= datetime.now(self.zone).replace(tzinfo=None)

	def _cached(self, learner: Learner) -> dict[str, float]:
		key = f"srs:{quote(learner.name, safe='@+')}:{quote(self.season, safe='')}"
		client = self.stage.redis("redis-srs")
		history = client.info("replication")["master_replid"][:12]
		generation = f"{history}.{history}.{client.get('srs:generation') or 0}"
		marker = client.get(f"{{{key}}}:loaded") or ""
		assert re.fullmatch(
			rf"{re.escape(generation)}\.[0-9a-f]{{16}}#[0-9]+(:empty)?", marker
		), "is not marked as whole"
		return dict(client.zrange(key, 0, -1, withscores=True))
