"""Twenty learners answer without pause while something is killed: no answer is lost, none counted twice."""

import random
import shutil
import signal
import time

import requests

from tests.faults.classroom import API, TURNED_AWAY
from tests.faults.proxy import ReplyLosingProxy
from tests.faults.stage import OPEN_SECONDS, Stage, children, kill_process
from tests.integration.waiting import wait_until

LOAD_SECONDS = 2.0  # with the fault, where it is one that lasts
AFTER = 36  # submissions acknowledged when the fault is over: more than there are devices
HANG_SECONDS = 3 * OPEN_SECONDS  # long enough to be asked again
FLAPS = 3
# Without its cache Frappe makes for each request what it would have kept: a tenth of a second of computing
FEW_DEVICES, FEW, UNCACHED_SECONDS = 4, 12, 60
KILLS, KILLING_SECONDS = 8, 40  # about one in two folds is over before it is killed
ALL_REDIS = ("redis-cache", "redis-queue", "redis-srs")
WHO = "/api/method/frappe.auth.get_logged_user"
OPEN_INCIDENTS_SQL = "SELECT name, reason FROM `tabSafe Mode Incident` WHERE ended_at IS NULL"
INCIDENTS_SQL = "SELECT COUNT(*) FROM `tabSafe Mode Incident`"
FOLD_MS = 50  # of a work-horse's life, from its first act to the end of its fold


def test_work_horses_are_killed_while_they_fold(stage, run):
	def killed() -> int:
		return stage.worker.log.read_text().count("Work-horse terminated unexpectedly")

	with run.under_load():
		goal, deadline = killed() + KILLS, time.monotonic() + KILLING_SECONDS
		while killed() < goal:
			horse = begun_to_fold(stage)
			time.sleep(random.uniform(0, FOLD_MS) / 1000)  # at any moment of a fold, also just after it
			kill_process(horse)
			assert time.monotonic() < deadline, f"{goal - killed()} work-horses too few were killed"
		run.answered(AFTER)
		assert stage.worker.alive()


def test_the_worker_is_killed(stage, run):
	with run.under_load():
		for _ in range(2):
			begun_to_fold(
				stage
			)  # not between taking a job and starting it: that costs 30 s, see JOB_WAITS_SECONDS
			stage.kill_worker()
			run.answered(AFTER)
			stage.start_worker()
			folds_again(stage)


def test_web_processes_are_killed_amid_requests(stage, run):
	killed = set()
	with run.under_load() as room:
		for _ in range(6):
			victims = children(stage.web.pid)
			killed.update(pid for pid in victims if kill_process(pid))
			wait_until(lambda: len(set(children(stage.web.pid)) - killed) == 2, "two new web processes")
			run.answered(AFTER // 2)
	assert len(killed) >= 6
	assert room.ledger.failures


def test_the_queue_is_killed_and_comes_back(stage, run):
	with run.under_load():
		stage.kill("redis-queue")
		run.answered(AFTER)
		load_for(LOAD_SECONDS)
		stage.start("redis-queue")
		run.answered(AFTER)
		folds_again(stage)


def test_the_queue_comes_back_empty(stage, run):
	with run.under_load():
		stage.redis("redis-queue").set("from before", 1)
		restart_empty(stage, "redis-queue")
		assert not stage.redis("redis-queue").exists("from before"), "it was to come back empty"
		run.answered(AFTER)
		folds_again(stage)


def test_the_schedules_redis_is_killed_and_comes_back(stage, run):
	with run.under_load() as room:
		stage.kill("redis-srs")
		degraded_replies(run, room)
		stage.start("redis-srs")
		trusted_again(run, room)


def test_the_schedules_redis_comes_back_empty(stage, run):
	with run.under_load() as room:
		restart_empty(stage, "redis-srs", lambda: degraded_replies(run, room))
		trusted_again(run, room)


def test_the_web_processes_that_missed_writes_are_killed_before_redis_is_back(stage, run):
	"""None of those that could have said what Redis lacks is there any more."""
	with run.under_load() as room:
		stage.kill("redis-srs")
		degraded_replies(run, room)
		room.stop()
		witnesses = children(stage.web.pid)
		assert all(kill_process(pid) for pid in witnesses)
		wait_until(lambda: len(set(children(stage.web.pid)) - {*witnesses}) == 2, "two new web processes")
		stage.start("redis-srs")


def test_the_schedules_redis_comes_back_with_yesterdays_data(stage, run):
	yesterday = stage.data("redis-srs").with_name("yesterday")
	shutil.rmtree(yesterday, ignore_errors=True)  # of a run that was killed
	with run.under_load() as room:
		shutil.copytree(stage.data("redis-srs"), yesterday)
		copied = stage.redis("redis-srs").dbsize()
		run.answered(AFTER)
		stage.kill("redis-srs")
		degraded_replies(run, room)
		shutil.rmtree(stage.data("redis-srs"))
		yesterday.rename(stage.data("redis-srs"))
		stage.start("redis-srs")
		assert stage.redis("redis-srs").dbsize() >= min(copied, len(room.learners))
		trusted_again(run, room)


def test_the_schedules_redis_hangs(stage, run):
	with run.under_load() as room:
		process = stage.servers["redis-srs"]
		process.send_signal(signal.SIGSTOP)
		try:
			hang_until = time.monotonic() + HANG_SECONDS
			degraded_replies(run, room)
			load_for(hang_until - time.monotonic())
		finally:
			process.send_signal(signal.SIGCONT)
		trusted_again(run, room)


def test_the_schedules_redis_comes_and_goes(stage, run):
	with run.under_load() as room:
		before = stage.sql(INCIDENTS_SQL)[0][0]
		for _ in range(FLAPS):
			stage.kill("redis-srs")
			degraded_replies(run, room)
			stage.start("redis-srs")
			run.answered(AFTER)
		trusted_again(run, room)
		assert stage.sql(INCIDENTS_SQL)[0][0] - before <= 1


def test_the_cache_is_killed_and_comes_back(stage, run):
	with run.under_load(devices=FEW_DEVICES) as room:
		stage.kill("redis-cache")
		run.answered(FEW, UNCACHED_SECONDS)
		signs_in_and_reads(stage)
		stage.start("redis-cache")
		run.answered(AFTER)
		assert not room.in_safe_mode
		none_is_taken_for_another(room)
		assert not room.ledger.server_errors, room.ledger.server_errors


def test_all_three_redis_are_killed_and_come_back(stage, run):
	with run.under_load(devices=FEW_DEVICES) as room:
		for name in ALL_REDIS:
			stage.kill(name)
		degraded_replies(run, room, UNCACHED_SECONDS)
		signs_in_and_reads(stage)
		for name in ALL_REDIS:
			stage.start(name)
		trusted_again(run, room)
		folds_again(stage)
		assert room.ledger.put_off
		none_is_taken_for_another(room)
		assert not room.ledger.server_errors, room.ledger.server_errors


def test_mariadb_is_killed_and_comes_back(stage, run):
	with run.under_load() as room:
		stage.kill("mariadb")
		wait_until(lambda: len(room.ledger.failures) >= len(room.devices), "requests that fail")
		stage.start("mariadb")
		run.answered(AFTER, 40)
		assert room.ledger.failures


def test_the_connection_is_cut_between_commit_and_reply(stage, run):
	proxy = ReplyLosingProxy(port_of(stage.web.url))
	try:
		with run.under_load(proxy.url) as room:
			proxy.share = 0.3
			run.answered(5 * AFTER, 40)
			load_for(LOAD_SECONDS)
			proxy.share = 0.0
			run.answered(AFTER)
	finally:
		proxy.close()
	assert proxy.lost >= 20
	assert len(room.ledger.repeated) >= 20


def begun_to_fold(stage: Stage) -> int:
	"""A work-horse whose job has just begun: it first deletes the key that keeps others from being queued."""
	key, begun = f"rq:memora:{stage.site}:fold-waits", []
	with stage.redis("redis-queue") as queue:

		def begins() -> bool:
			horses, before = children(stage.worker.pid), queue.get(key)
			while horses and children(stage.worker.pid) == horses and queue.get(key) == before:
				pass
			begun[:] = [pid for pid in children(stage.worker.pid) if pid in horses]
			return bool(begun)

		wait_until(begins, "a fold that begins", 40)
	return begun[0]


def folds_again(stage: Stage) -> None:
	"""The worker, or the one that supervisor starts in its place, does jobs. It asks a queue that was gone
	again after 1, 2, 4, … s, and web processes after OPEN_SECONDS."""
	stage.ensure_worker()
	log, before = stage.worker.log, jobs_done(stage)

	def does() -> bool:
		stage.ensure_worker()
		return jobs_done(stage) > (before if stage.worker.log == log else 0)

	wait_until(does, "a job that is done", 40)


def jobs_done(stage: Stage) -> int:
	return stage.worker.log.read_text().count("Job OK")


def signs_in_and_reads(stage: Stage) -> None:
	"""By password and cookie, as in a browser. Safe Mode admits her, or tells her when to come back."""
	name, password = stage.furniture["by_password"]
	with requests.Session() as browser:
		browser.trust_env = False
		login = browser.post(stage.web.url + "/api/method/login", data={"usr": name, "pwd": password})
		assert login.status_code == 200, login.text
		reply = browser.get(stage.web.url + API + "get_review_session")
		assert reply.status_code in (200, 429), reply.text
		assert browser.get(stage.web.url + WHO).json() == {"message": name}


def none_is_taken_for_another(room) -> None:
	"""A learner with one device is not turned away, unless the device has given up requests."""
	assert set(room.ledger.failures) != {TURNED_AWAY}


def load_for(seconds: float) -> None:
	"""A length of load, no wait for anything."""
	time.sleep(max(0.0, seconds))


def degraded_replies(run, room, seconds: float = 20) -> None:
	"""The load goes on without Redis: acknowledged, and said to be degraded, by every process."""
	goal = len(room.ledger.degraded) + 2 * len(room.started)
	wait_until(lambda: len(room.ledger.degraded) >= goal, "degraded replies", seconds)
	run.answered(len(room.started), seconds)


def trusted_again(run, room) -> None:
	"""Redis has been back for so long that every process has asked it again, and none has failed since."""
	back_at = time.monotonic()
	load_for(OPEN_SECONDS)
	wait_until(lambda: _none_degraded_while_answering(run, room), "replies that are not degraded")
	wait_until(lambda: not run.stage.sql(OPEN_INCIDENTS_SQL), "the end of the incident")
	run.healed_after = max(0.0, room.ledger.safe_mode_at - back_at)


def _none_degraded_while_answering(run, room) -> bool:
	before = room.in_safe_mode
	run.answered(AFTER)
	return room.in_safe_mode == before


def restart_empty(stage: Stage, name: str, meanwhile=lambda: None) -> None:
	stage.kill(name)
	meanwhile()
	shutil.rmtree(stage.data(name))
	stage.start(name)


def port_of(url: str) -> int:
	return int(url.rpartition(":")[2])
