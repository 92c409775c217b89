"""Section `crowd`: pupils as they are, each before the page /review with a session of her own, at the pace of people.

They come one after the other during the first minute; whoever has ended a sitting is followed by another pupil. Counted is
from then on, for four minutes: how long requests take, and the CPU time of all processes of the site by the kernel's
accounts, which other load on a machine distorts least. The floor of the same run is the no-op, Frappe's cheapest authenticated
request. At the end each answer that was acknowledged is looked for in journal and tracker, and the schedules in Redis are compared
with the tracker.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from statistics import mean
from urllib.parse import urlsplit

import frappe

from benchmarks import accounts, crowd_data, site
from benchmarks.perf_data import Learner
from benchmarks.pupils import ANSWERED, LOGIN, Log, Pupil, Sent
from benchmarks.report import Section, number, percentile, table
from devtools.paths import current_bench
from devtools.pids import PidFile
from devtools.report import Failure, step
from memora.services import site_time
from memora.services.cache.schedules import Schedules

RAMP_SECONDS, SECONDS = 60, 240
SEED = 20261128
NOOPS, NOOP = 300, "frappe.auth.get_logged_user"
SIGN_IN_AT_ONCE = 4
SHARE_OF_CORES = 0.7  # that pupils may take
# By how the process is named
KINDS = {"web": "web", "mariadb": "MariaDB", "redis": "Redis", "worker": "workers"}

LOST_SQL = """
	SELECT COUNT(*) FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (submission CHAR(32) PATH '$[0]', question VARCHAR(140) PATH '$[1]')) given
	LEFT JOIN `tabPlayer Review Log` log
		ON log.season = %(season)s AND log.submission_id = submission AND log.question_id = question
	LEFT JOIN `tabPlayer Memory Tracker` t
		ON t.season = %(season)s AND t.player = log.player AND t.question_id = log.question_id AND t.last_review_date >= log.reviewed_at
	WHERE log.name IS NULL OR (log.kind <> 'Practice' AND t.name IS NULL)"""
DATES_SQL = """
	SELECT question_id, next_review_date FROM `tabPlayer Memory Tracker` WHERE season = %s AND player = %s"""


@dataclass
class Window:
	"""What happened between two moments: requests, acknowledged answers, and CPU seconds by kind of process."""

	seconds: float
	sent: list[Sent]
	answers: int
	cpu: dict[str, float]

	@property
	def cpu_seconds(self) -> float:
		return sum(self.cpu.values())


def measure(arguments: argparse.Namespace) -> Section:
	pupils = arguments.pupils
	with crowd_data.prepared(3 * pupils) as (season, _model, learners):
		log = Log()
		signed_in = _sign_in(learners, log)
		with step(f"{NOOPS} no-ops with a session"):
			noop_cpu = _cpu_of_noops(signed_in[0])
		with step(f"{pupils} pupils: {RAMP_SECONDS} s until all are there, then {SECONDS} s"):
			window = asyncio.run(_at_work(signed_in, pupils, log))
		with step("Looking for each acknowledged answer"):
			lost = _count_lost(season, log, learners)
	figures = _figures(window, noop_cpu, pupils, log, lost)
	return Section(figures, _text(window, figures))


# The crowd


def _sign_in(learners: list[Learner], log: Log) -> list[Pupil]:
	parts = urlsplit(site.url())
	address = (parts.hostname or "", parts.port or 80)
	pupils = [Pupil(address, one.user, log, Random(f"{SEED}:{one.user}")) for one in learners]

	async def sign_all_in() -> None:
		turn = asyncio.Semaphore(SIGN_IN_AT_ONCE)

		async def sign_in(pupil: Pupil) -> None:
			async with turn:
				await pupil.sign_in(crowd_data.PASSWORD)

		await asyncio.gather(*map(sign_in, pupils))

	with step(f"Signing in {len(pupils)} pupils"):
		asyncio.run(sign_all_in())
	return pupils


async def _at_work(signed_in: list[Pupil], pupils: int, log: Log) -> Window:
	"""Keeps so many pupils at work, and measures once all are there. Returns when each has ended what she had begun."""
	coming, is_over = iter(signed_in), asyncio.Event()

	async def desk(at_seconds: float) -> None:
		"""One place in the room, which one pupil takes after the other."""
		await asyncio.sleep(at_seconds)
		while not is_over.is_set():
			await next(coming).sit()

	random = Random(SEED)
	desks = [asyncio.create_task(desk(random.uniform(0, RAMP_SECONDS))) for _ in range(pupils)]
	await asyncio.sleep(RAMP_SECONDS)
	begin, before = time.monotonic(), _cpu()
	await asyncio.sleep(SECONDS)
	end, after = time.monotonic(), _cpu()
	is_over.set()
	await asyncio.gather(*desks)
	return Window(
		end - begin,
		[sent for sent in log.sent if begin <= sent.at < end],
		sum(begin <= at < end for at, *_rest in log.acknowledged),
		{kind: after[kind] - before[kind] for kind in KINDS},
	)


# Costs


def _cpu() -> dict[str, float]:
	"""Returns the CPU seconds so far by kind of process."""
	found = dict.fromkeys(KINDS, 0.0)
	for path in current_bench().run.glob("*.json"):
		kind = next((kind for kind in KINDS if path.name.startswith(kind)), None)
		if kind and (pid := PidFile(path).pid()):
			found[kind] += accounts.cpu_seconds(pid)
	return found


def _cpu_of_noops(pupil: Pupil) -> float:
	"""Returns the CPU seconds of one no-op of a signed-in pupil, of all processes."""

	async def send() -> None:
		for _ in range(NOOPS):
			if await pupil.call(NOOP) != pupil.user:
				raise Failure(f"The no-op did not name {pupil.user}")

	asyncio.run(send())  # so that all processes are warm
	before = _cpu()
	asyncio.run(send())
	after = _cpu()
	return sum(after[kind] - before[kind] for kind in KINDS) / NOOPS


# What became of the answers


def _count_lost(season: str, log: Log, learners: list[Learner]) -> int:
	"""Counts acknowledged answers that journal or tracker do not have, and schedules that differ from the tracker."""
	site.wait_until_folded(season, [learner.id for learner in learners])
	frappe.db.rollback()  # the counts must see what was written meanwhile
	given = json.dumps([[submission, question] for _at, submission, question in log.acknowledged])
	((lost,),) = frappe.db.sql(LOST_SQL, {"given": given, "season": season})
	return int(lost) + sum(_differing(season, learner.id) for learner in learners)


def _differing(season: str, learner: str) -> int:
	"""Counts questions whose date in Redis is not that of the tracker. A schedule that was never loaded counts none."""
	scores = Schedules().read_all(learner, season)
	if not scores:
		return 0
	dates = {name: site_time.to_epoch(date) for name, date in frappe.db.sql(DATES_SQL, (season, learner))}
	return sum(scores.get(name) != date for name, date in dates.items())


# Figures


def _figures(window: Window, noop_cpu: float, pupils: int, log: Log, lost: int) -> dict[str, float]:
	cpu_a_pupil = window.cpu_seconds / window.seconds / pupils  # of a core
	figures = {
		"crowd_pupils": pupils,
		"crowd_answers": window.answers,
		"crowd_noop_cpu_ms": noop_cpu * 1000,
		"crowd_noops_per_answer": window.cpu_seconds / window.answers / noop_cpu,
		"crowd_pupils_per_core": SHARE_OF_CORES / cpu_a_pupil,
		"crowd_requests_per_sitting": mean(log.sittings),
		"crowd_lost": lost,
		"crowd_unanswered": sum(sent.status != ANSWERED for sent in window.sent),
	}
	for kind, ms in _by_kind(window):
		figures |= {f"crowd_{kind}_p50_ms": percentile(ms, 0.5), f"crowd_{kind}_p99_ms": percentile(ms, 0.99)}
	for kind, seconds in window.cpu.items():
		figures[f"crowd_{kind}_cpu_ms_per_answer"] = seconds / window.answers * 1000
	return {name: round(value, 3) for name, value in figures.items()}


def _by_kind(window: Window) -> Iterator[tuple[str, list[float]]]:
	for kind in sorted({sent.kind for sent in window.sent} - {LOGIN}):
		yield kind, [sent.ms for sent in window.sent if sent.kind == kind]


def _text(window: Window, figures: dict[str, float]) -> str:
	requests = [["crowd", "requests", "p50 ms", "p99 ms"]]
	for kind, ms in _by_kind(window):
		requests.append(
			[kind, number(len(ms)), number(percentile(ms, 0.5), 1), number(percentile(ms, 0.99), 1)]
		)
	costs = [["CPU", "seconds", "ms an answer", "of a no-op"]]
	noop = figures["crowd_noop_cpu_ms"]
	for kind, seconds in [*window.cpu.items(), ("in all", window.cpu_seconds)]:
		cost = seconds / window.answers * 1000
		costs.append([KINDS.get(kind, kind), number(seconds, 2), number(cost, 2), number(cost / noop, 3)])
	names = ("noops_per_answer", "pupils_per_core", "requests_per_sitting", "lost", "unanswered")
	whole = [["crowd", "figure"], *([name, number(figures[f"crowd_{name}"], 3)] for name in names)]
	return "\n\n".join(table(rows) for rows in (requests, costs, whole))
