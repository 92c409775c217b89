"""The tests' own site, with one active season and a question bank that all tests share.

Whatever else a test makes goes when it ends; see cleaning.py.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import frappe
import pytest
from frappe.utils import background_jobs

from devtools import ports, processes
from devtools.sites import ADMIN_PASSWORD
from memora.services.alerts import MANAGER_ROLES
from memora.services.cache.breaker import CircuitBreaker
from memora.services.folding import queueing
from memora.services.learning import reviews
from memora.services.settings import forget_settings
from memora.services.srs_archiver import SRSArchiver
from memora.services.srs_redis_manager import SRSRedisManager
from tests.integration import cleaning, factories, redis_cluster, waiting
from tests.integration.anki_decks import CLOZE, REVERSED, note, png, write_deck
from tests.integration.client import Client
from tests.integration.connections import exclusive_run
from tests.integration.factories import Learner
from tests.integration.fleet import Fleet
from tests.integration.old_learners import before_patch
from tests.integration.old_tables import TRACKER, old_layout
from tests.integration.redis_cluster import RedisCluster
from tests.integration.redis_proxy import RedisProxy


@pytest.fixture(scope="session", autouse=True)
def site():
	"""Frappe on the test site, as Administrator. Frappe finds its logs from the sites directory only."""
	sites_path, before = os.environ["MEMORA_SITES_PATH"], os.getcwd()
	os.chdir(sites_path)
	frappe.init(os.environ["MEMORA_SITE"], sites_path=sites_path)
	assert frappe.conf.allow_tests, f"{frappe.local.site} is not a site for tests: they would empty it"
	frappe.connect()
	frappe.set_user("Administrator")
	with exclusive_run():
		cleaning.empty_site()
		factories.make_standing_data()
		yield frappe.local.site
		cleaning.empty_site()
	frappe.destroy()
	os.chdir(before)


@pytest.fixture(autouse=True)
def clean(site):
	waiting.wait_for_a_day_that_lasts()
	cleaning.begin()
	yield
	cleaning.remove_what_a_test_made()


@pytest.fixture
def season() -> str:
	return factories.STANDING_SEASON


@pytest.fixture
def learner() -> Learner:
	return factories.make_learner()


@pytest.fixture
def player(learner) -> str:
	return learner.name


@pytest.fixture
def proxy(site) -> Iterator[RedisProxy]:
	"""This process reaches the schedules' Redis by way of it, with a breaker that has seen nothing yet."""
	proxy = RedisProxy(frappe.conf.srs_redis_cache)
	frappe.local.conf.srs_redis_cache = proxy.url
	yield proxy
	proxy.stop()


@pytest.fixture(scope="session")
def cluster(site, tmp_path_factory) -> Iterator[RedisCluster]:
	"""Three nodes that all tests share: who breaks one, mends it."""
	cluster = RedisCluster(tmp_path_factory.mktemp("cluster"))
	yield cluster
	cluster.stop()


@pytest.fixture
def in_cluster(cluster, clean) -> Iterator[None]:
	"""All processes have their schedules in the cluster."""
	with redis_cluster.schedules_in(cluster):
		yield


@pytest.fixture(autouse=True)
def each_redis(clean, request) -> None:
	"""Has a test use the server or the cluster, if it runs with both; see pytest_generate_tests."""
	if getattr(request, "param", "server") == "cluster":
		request.getfixturevalue("in_cluster")


def pytest_generate_tests(metafunc) -> None:
	"""Has a test marked `each_redis` run twice: with the bench's own server, and with a cluster.

	A test that needs the proxy, or no Redis, runs once.
	"""
	is_marked = metafunc.definition.get_closest_marker("each_redis")
	if is_marked and not {"proxy", "no_redis"} & set(metafunc.fixturenames):
		metafunc.parametrize("each_redis", ["server", "cluster"], indirect=True)


@pytest.fixture
def manager() -> SRSRedisManager:
	return SRSRedisManager()


@pytest.fixture(scope="session")
def web(site):
	"""Gunicorn on the test site."""
	with processes.web(site, app="tests.integration.served:application") as handle:
		yield handle


@pytest.fixture(scope="module")
def long_worker(site):
	"""Does administrators' jobs."""
	with processes.worker(["long"]) as handle:
		yield handle


@pytest.fixture(scope="session")
def fleet(site) -> Iterator[Fleet]:
	fleet = Fleet()
	yield fleet
	fleet.stop()


@pytest.fixture
def no_redis(site) -> None:
	"""This process looks for the schedules' Redis where nobody listens."""
	frappe.local.conf.srs_redis_cache = f"redis://127.0.0.1:{ports.any_free()}/0"


@pytest.fixture(params=["redis cold", "redis warm", "cluster", "without redis", "redis down"])
def source(request, season):
	"""Every way a read may take. Call it when the rows are there; it answers whether reads are degraded."""
	if request.param == "cluster":
		request.getfixturevalue("in_cluster")

	def prepare(player: str) -> bool:
		if request.param == "redis warm":
			reviews.read_reviews(player)
		if request.param == "without redis":
			frappe.db.set_value("Game Subscription Season", season, "enable_redis", 0)
			frappe.db.commit()
		if request.param == "redis down":
			request.getfixturevalue("no_redis")
			factories.set_limits(user_seconds=0)  # these tests are not about them
		return request.param == "redis down"

	return prepare


@pytest.fixture
def queue_url(monkeypatch):
	"""Points this process at another queue Redis, as if it had never asked one."""
	monkeypatch.setattr(background_jobs, "_redis_queue_conn", None)
	monkeypatch.setattr(queueing, "_queue_breaker", CircuitBreaker(queueing._queue_breaker.failures))

	def use(url: str) -> None:
		monkeypatch.setenv("FRAPPE_REDIS_QUEUE", url)  # Frappe 16 does not look into frappe.local.conf
		frappe.local.conf.redis_queue = url

	return use


@pytest.fixture(scope="session")
def administrator(web) -> Client:
	client = Client(web.url)
	login = client.request("POST", "/api/method/login", data={"usr": "Administrator", "pwd": ADMIN_PASSWORD})
	assert login.status_code == 200, login.text
	return client


@pytest.fixture
def guest(web) -> Client:
	return Client(web.url)


@pytest.fixture(params=MANAGER_ROLES)
def each_manager(request, web) -> Client:
	return Client(web.url, factories.make_learner([request.param]).token)


@pytest.fixture
def client(web, learner) -> Client:
	"""The learner's, by token."""
	return Client(web.url, learner.token)


@pytest.fixture
def deck(tmp_path) -> Path:
	"""Six questions of four notes, a picture shown by two of them, one sound, and a file that nothing shows."""
	return write_deck(
		tmp_path / "geo.apkg",
		note(
			'France <img src="a%20map.png">', "Paris<br>[sound:paris.mp3]", guid="fr", tags=("geo", "leech")
		),
		note("Italy", 'Rome <img src="a map.png">', guid="it", model=REVERSED),
		note("{{c1::Berlin::city}} is in {{c2::Germany}}", "since 1990", guid="de", model=CLOZE),
		note("<p dir='rtl'>فرنسا</p>", "باريس", guid="ar"),
		media={"a map.png": png(1), "paris.mp3": b"ID3 sound", "unused.png": png(2)},
	)


@pytest.fixture
def any_request_time(clean) -> None:
	"""Memora Health finds no request slow, whatever those of other tests took on this machine."""
	limits = dict.fromkeys(("read_p99_warning_ms", "submit_p99_warning_ms"), 59_999)
	limits |= dict.fromkeys(("read_p99_critical_ms", "submit_p99_critical_ms"), 60_000)
	frappe.get_doc("Memora Settings").update(limits).save()
	frappe.db.commit()
	forget_settings()


@pytest.fixture
def archiver() -> SRSArchiver:
	return SRSArchiver()


@pytest.fixture
def old_tracker() -> Iterator[None]:
	with old_layout(TRACKER):
		yield


@pytest.fixture
def pending() -> Iterator[None]:
	"""The patch that gives ids to learners has not run."""
	with before_patch():
		yield
