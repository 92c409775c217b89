"""An outage is noted once and told once, whoever meets it, and everything goes back to normal after it."""

import threading
from datetime import timedelta

import frappe
import pytest

from memora.api import utils
from memora.exceptions import RateLimitExceeded
from memora.services.cache import incidents, outdated
from memora.services.cache.breaker import Unavailable
from memora.services.cache.incidents import FLAP_SECONDS
from memora.services.learning import reviews
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import tracker
from memora.services.store.question_status import NO_CHANGES
from tests.integration import fleet as members
from tests.integration import state
from tests.integration.connections import at_once, raw_connection
from tests.integration.factories import bank_questions, make_learner, make_records, site_now
from tests.integration.fleet import CONNECTIONS, PROCESSES
from tests.integration.submitting import answers, ids, read, submit
from tests.integration.waiting import wait_until

INCIDENT = "Safe Mode Incident"
OPENED, CLOSED = "Safe Mode is on", "Safe Mode is over"
READERS = 8


@pytest.fixture
def impatient(proxy) -> SRSRedisManager:
	"""A manager behind the proxy whose breaker lets every call try."""
	manager = SRSRedisManager()
	manager.schedules.gateway.server.breaker.open_seconds = 0
	return manager


@pytest.fixture
def managers() -> list[str]:
	"""One of each role, beside Administrator."""
	return [make_learner(roles=[role]).user for role in ("System Manager", "Memora Manager")]


@pytest.fixture
def mail_account():
	"""The site sends mail, though nobody sends what waits."""
	names = dict.fromkeys(("name", "email_account_name"), "Tests")
	sending = {"enable_outgoing": 1, "default_outgoing": 1, "smtp_server": "127.0.0.1"}
	values = {"doctype": "Email Account", "email_id": "memora@learners.example", **names, **sending}
	account = frappe.get_doc(values)
	account.db_insert()
	frappe.db.commit()
	yield
	frappe.db.delete("Email Account", {"name": "Tests"})
	frappe.db.delete("Email Queue Recipient")
	frappe.db.commit()


def the_incident() -> frappe._dict:
	(incident,) = state.rows(INCIDENT)
	return incident


def make_incident(**values) -> None:
	"""Makes an incident that began ten minutes ago."""
	started = site_now() - timedelta(minutes=10)
	frappe.get_doc({"doctype": INCIDENT, "started_at": started, "reason": "gone", **values}).db_insert()
	frappe.db.sql(f"UPDATE `tab{INCIDENT}` SET modified = started_at")
	frappe.db.commit()


def make_over(seconds: int) -> None:
	"""The incident ended so long ago."""
	frappe.db.set_value(INCIDENT, the_incident().name, "ended_at", site_now() - timedelta(seconds=seconds))
	frappe.db.commit()


def told(subject: str) -> list[str]:
	"""Returns the users who were told, each as often as she was told."""
	return sorted(row.for_user for row in state.rows("Notification Log", subject=subject))


def end(proxy) -> None:
	proxy.start()
	assert SRSRedisManager().is_available()


# Opened and closed


def test_a_read_alone_opens_one_and_the_next_that_is_answered_closes_it(proxy, impatient, player, season):
	proxy.stop()
	with pytest.raises(Unavailable):
		impatient.schedules.read_due(player, season, 20, NO_CHANGES)
	incident = the_incident()
	assert (incident.ended_at, incident.requests_served, incident.requests_limited) == (None, 0, 0)
	assert "connect" in incident.reason.lower()
	assert abs(incident.started_at - site_now()) < timedelta(seconds=20)
	frappe.db.sql(f"UPDATE `tab{INCIDENT}` SET started_at = started_at - INTERVAL 90 SECOND")
	frappe.db.commit()
	proxy.start()
	impatient.schedules.read_due(player, season, 20, NO_CHANGES)
	incident = the_incident()
	assert incident.ended_at >= incident.started_at
	assert 90 <= incident.duration <= 110


def test_a_write_opens_one(proxy, impatient, player, season):
	proxy.stop()
	assert not impatient.add_item(player, season, "q", 1.0)
	assert not the_incident().ended_at
	end(proxy)
	assert the_incident().ended_at


def test_further_failures_are_the_same_outage(proxy, impatient, player, season):
	proxy.stop()
	for _ in range(3):
		assert not impatient.is_available()
		assert not impatient.add_item(player, season, "q", 1.0)
	assert the_incident()


def test_sixteen_connections_that_meet_one_outage_open_one(fleet, player, season):
	assert fleet.run(members.fail_to_write, player=player, season=season) == [False] * PROCESSES * CONNECTIONS
	assert not the_incident().ended_at


def test_an_outage_within_a_minute_is_the_same(proxy, impatient):
	for _ in range(2):
		proxy.stop()
		assert not impatient.is_available()
		incident = the_incident()
		assert (incident.ended_at, incident.duration) == (None, None)
		end(proxy)
		assert the_incident().ended_at


def test_an_outage_after_a_minute_is_another(proxy, impatient):
	proxy.stop()
	assert not impatient.is_available()
	end(proxy)
	make_over(FLAP_SECONDS + 1)
	proxy.stop()
	assert not impatient.is_available()
	assert sorted(bool(row.ended_at) for row in state.rows(INCIDENT)) == [False, True]


def test_a_transaction_in_which_redis_fails_is_neither_committed_nor_rolled_back(proxy, impatient, learner):
	frappe.db.set_value("User", learner.user, "first_name", "Renamed")
	proxy.stop()
	assert not impatient.is_available()
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT first_name FROM tabUser WHERE name = %s", (learner.user,))
		assert cursor.fetchone()[0] != "Renamed"
	assert frappe.db.get_value("User", learner.user, "first_name") == "Renamed"


def test_a_locked_incident_holds_nobody_up(proxy, impatient):
	"""A backup, or an administrator's statement: then it is not written down, and the learner goes on."""
	make_incident()
	proxy.stop()
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute(f"SELECT name FROM `tab{INCIDENT}` FOR UPDATE")
		incidents.close_incidents()
		assert not impatient.is_available()
	assert not the_incident().ended_at


# Counted


def test_requests_are_counted(proxy, impatient, player):
	proxy.stop()
	other = make_learner().name
	assert read(player)["is_degraded"] and read(other)["is_degraded"]
	for _ in range(3):
		with pytest.raises(RateLimitExceeded):
			read(player)
	incidents.write_counts()
	incident = the_incident()
	assert (incident.requests_served, incident.requests_limited) == (2, 3)


def test_what_was_counted_last_is_written_when_it_ends(proxy, impatient, player):
	proxy.stop()
	assert read(player)["is_degraded"]
	for _ in range(5):
		with pytest.raises(RateLimitExceeded):
			read(player)
	end(proxy)
	incident = the_incident()
	assert (incident.requests_served, incident.requests_limited) == (1, 5)


# Told


def test_managers_are_told_of_its_beginning_and_of_its_end_once(proxy, impatient, managers, player):
	proxy.stop()
	assert not impatient.is_available()
	for _ in range(2):
		incidents.tell()
	assert told(OPENED) == sorted(["Administrator", *managers])
	(log,) = state.rows("Notification Log", for_user=managers[0])
	assert (log.document_type, log.document_name) == (INCIDENT, the_incident().name)
	assert "connect" in log.email_content.lower()
	end(proxy)
	incidents.tell()
	assert told(CLOSED) == []  # it may come again within a minute
	make_over(FLAP_SECONDS + 1)
	for _ in range(2):
		incidents.tell()
	assert told(CLOSED) == sorted(["Administrator", *managers])
	assert told(OPENED) == sorted(["Administrator", *managers])
	assert state.rows("Email Queue") == []


def test_an_outage_that_comes_again_within_a_minute_is_not_told_again(proxy, impatient):
	for _ in range(3):
		proxy.stop()
		assert not impatient.is_available()
		incidents.tell()
		end(proxy)
		incidents.tell()
	assert (told(OPENED), told(CLOSED)) == (["Administrator"], [])


def test_of_those_who_tell_at_the_same_time_one_does(managers):
	make_incident()
	make_incident(ended_at=site_now() - timedelta(seconds=FLAP_SECONDS + 1), opening_told=1, duration=5)
	at_once(*[incidents.tell] * 4)
	everybody = sorted(["Administrator", *managers])
	assert (told(OPENED), told(CLOSED)) == (everybody, everybody)


def test_telling_locks_nothing_that_others_write(proxy, impatient):
	"""An incident that is told of, and an end to one, meet at every outage's edge."""
	make_incident(opening_told=1, ended_at=site_now() - timedelta(hours=1), closing_told=1)
	incidents.tell()
	proxy.stop()
	assert not impatient.is_available()  # on another connection, while the transaction that told goes on
	assert len(state.rows(INCIDENT)) == 2


def test_a_mail_goes_to_managers_at_the_beginning_and_at_the_end(mail_account, managers):
	nobody = make_learner(roles=["Desk User"]).user
	off = make_learner(roles=["System Manager"], enabled=0).user
	make_incident(ended_at=site_now() - timedelta(seconds=FLAP_SECONDS + 1), duration=540)
	for _ in range(2):
		incidents.tell()
	recipients = {row.recipient for row in frappe.get_all("Email Queue Recipient", fields=["recipient"])}
	assert recipients >= {*managers}
	assert not recipients & {nobody, off}
	mails = sorted(state.rows("Email Queue"), key=lambda row: row.creation)
	assert [(OPENED in mail.message, CLOSED in mail.message) for mail in mails] == [
		(True, False),
		(False, True),
	]
	assert "lasted 9m" in mails[1].message


def test_who_asks_for_the_incident(managers, player):
	frappe.set_user(managers[1])
	assert utils.get_safe_mode() is None
	make_incident()
	assert utils.get_safe_mode() == {**utils.get_safe_mode(), "name": the_incident().name, "reason": "gone"}
	for user in (player, "Guest"):
		frappe.set_user(user)
		with pytest.raises(frappe.PermissionError):
			utils.get_safe_mode()


# Over


@pytest.mark.slow
def test_with_the_breaker_as_it_is_a_read_is_whole_again_within_ten_seconds(proxy, player, season):
	make_records(player, 3)
	assert not read(player)["is_degraded"]
	proxy.stop()
	assert submit(player, answers(1))["is_degraded"]
	proxy.start()
	wait_until(lambda: SRSRedisManager().is_available(), "Redis", seconds=10)
	assert not read(player)["is_degraded"]
	assert state.cached(player, season) == state.scores(player, season)
	assert the_incident().ended_at


def test_connections_that_died_in_silence_do_not_open_the_breaker_one_after_the_other(proxy):
	"""After a failover nobody resets the old connections."""
	manager = SRSRedisManager()
	pool = manager.schedules.gateway.server.client.connection_pool
	for connection in [pool.get_connection("PING") for _ in range(4)]:
		pool.release(connection)
	manager.schedules.gateway.server.breaker.open_seconds = 0
	proxy.strand()
	assert not manager.is_available()
	proxy.start()
	first = pool.get_connection("PING")  # as if another thread had it, so that this one gets the next
	assert manager.is_available()
	pool.release(first)


def test_of_many_who_read_one_schedule_after_an_outage_one_loads_it(proxy, impatient, player, monkeypatch):
	"""The others are answered while one learner's process loads it."""
	make_records(player, 5)
	read(player)
	proxy.stop()
	assert submit(player, answers(1))["is_degraded"]
	proxy.start()
	assert SRSRedisManager().is_available()
	loads, answered, all_others = [], [], threading.Event()
	load = tracker.get_dates

	def load_last(*arguments):
		loads.append(arguments)
		assert all_others.wait(20)
		return load(*arguments)

	def read_with_others() -> dict:
		session = reviews.read_reviews(player)
		answered.append(session)
		if len(answered) == READERS - 1:
			all_others.set()
		return session

	monkeypatch.setattr(tracker, "get_dates", load_last)
	sessions = at_once(*[read_with_others] * READERS)
	assert len(loads) == 1
	assert [ids(session) for session in sessions] == [bank_questions()[1:5]] * READERS
	assert not any(session["is_degraded"] for session in sessions)


@pytest.mark.parametrize(("quiet_minutes", "is_over"), [(2, False), (10, True), (-30, True)])
def test_an_outage_goes_on_while_the_only_host_that_meets_it_has_little_to_do(season, quiet_minutes, is_over):
	incidents.open_incident("gone")
	frappe.db.sql(f"UPDATE `tab{INCIDENT}` SET modified = modified - INTERVAL {quiet_minutes} MINUTE")
	frappe.db.commit()
	outdated.settle_outages()
	assert bool(the_incident().ended_at) == is_over
