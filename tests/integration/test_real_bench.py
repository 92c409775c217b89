"""The life of an installation with frappe/bench: install, migrate, update, back up, restore, stage, go back, move, uninstall.

Needs the program `bench` (PyPI: frappe-bench) and a git checkout of Frappe, which MEMORA_FRAPPE names. Frappe's requirements are
downloaded; where GitHub can't be reached, UV_OVERRIDE names a file with the line gunicorn==23.0.0.
"""

import json
from collections.abc import Iterator

import pytest

from tests.integration import real_bench
from tests.integration.real_bench import RealBench

pytestmark = pytest.mark.skipif(bool(real_bench.TROUBLE), reason=real_bench.TROUBLE)

SITE, DATABASE = "life.localhost", "memora_life"
STAGING, STAGED = "staging.localhost", "memora_life_staging"
ANSWER = "INSERT INTO `tabPlayer Review Log` (name, player, season) VALUES ('{}', 'learner', '')"
ANSWERS = "SELECT GROUP_CONCAT(name ORDER BY name) FROM `tabPlayer Review Log`"
NOTED = "SELECT defvalue FROM tabDefaultValue WHERE defkey = 'memora_code'"


@pytest.fixture
def bench(tmp_path) -> Iterator[RealBench]:
	with real_bench.servers_of_tests(DATABASE, STAGED) as servers:
		yield RealBench(tmp_path / "here", servers)


@pytest.fixture
def other_bench(tmp_path) -> Iterator[RealBench]:
	with real_bench.servers_of_another_host(tmp_path / "s") as servers:
		yield RealBench(tmp_path / "there", servers)


def test_the_life_of_an_installation(bench, other_bench):
	"""One test, because making benches takes minutes."""
	bench.make_site(SITE, DATABASE)
	bench("--site", SITE, "install-app", "memora")
	bench("--site", SITE, "memora", "seed-demo")
	bench.query(DATABASE, ANSWER.format("first"))
	tables = bench.query(DATABASE, "SHOW TABLES")
	bench("--site", SITE, "migrate")
	assert bench.query(DATABASE, "SHOW TABLES") == tables

	dump = bench.back_up(SITE)
	bench.query(DATABASE, ANSWER.format("later"))
	bench.restore(SITE, dump)
	bench("--site", SITE, "migrate")
	assert bench.query(DATABASE, ANSWERS) == "first"

	bench.make_site(STAGING, STAGED)
	bench.restore(STAGING, dump)
	bench("--site", STAGING, "migrate")
	assert bench.query(STAGED, ANSWERS) == "first"
	assert bench.site_config(STAGING)["srs_redis_namespace"] == STAGING
	assert "redis_owner" not in bench("--site", STAGING, "memora", "doctor", exit_code=1)

	other_bench.make_site(SITE, DATABASE)
	other_bench.restore(SITE, dump)
	*_warnings, key = bench("--site", SITE, "execute", "frappe.utils.password.get_encryption_key").split()
	other_bench("--site", SITE, "set-config", "encryption_key", json.loads(key))
	other_bench("--site", SITE, "migrate")
	assert other_bench.query(DATABASE, ANSWERS) == "first"
	assert "srs_redis_namespace" not in other_bench.site_config(SITE)
	assert "redis_owner" not in other_bench("--site", SITE, "memora", "doctor", exit_code=1)

	bench.publish("1.0.99")
	bench("update", "--pull", "--patch", "--no-backup", "--apps", "memora")
	assert '"1.0.99"' in bench.query(DATABASE, NOTED)
	assert bench.query(DATABASE, ANSWERS) == "first"
	bench.git(bench.folder / "apps" / "memora", "checkout", "--quiet", "HEAD~1")
	said = bench("--site", SITE, "migrate", exit_code=1)
	assert f"The database of {SITE} is of Memora 1.0.99, and this code is older" in said
	bench.git(bench.folder / "apps" / "memora", "checkout", "--quiet", "-")
	bench("--site", SITE, "migrate")

	uninstall = ("--site", SITE, "uninstall-app", "memora", "--yes", "--no-backup")
	assert "delete-kept" in bench(*uninstall)
	assert "not installed" in bench("--site", SITE, "memora", "status", exit_code=1)
	bench("--site", SITE, "install-app", "memora")
	assert (bench.query(DATABASE, ANSWERS), bench.query(DATABASE, "SHOW TABLES")) == ("first", tables)
	bench(*uninstall, MEMORA_UNINSTALL="delete")
	assert "memora" not in bench.query(DATABASE, "SHOW TABLES")
	assert bench.query(DATABASE, "SELECT COUNT(*) FROM tabRole WHERE name LIKE 'Memora%'") == "0"
	assert bench.query(STAGED, ANSWERS) == "first"
