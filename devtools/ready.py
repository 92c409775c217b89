"""Makes a bench with everything that a command needs. Each step first looks for its own result, and keeps what is there."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from devtools import assets, config, environment, mariadb, node, packages, services, sites, translations
from devtools.locks import exclusive
from devtools.paths import Bench
from devtools.side_by_side import side_by_side


def ensure(bench: Bench, for_tests: bool = False) -> None:
	"""Makes what is missing. With `for_tests`, also installs the programs that only tests run."""
	with running(bench, for_tests):
		pass


@contextmanager
def running(bench: Bench, for_tests: bool = False) -> Iterator[None]:
	"""Makes what is missing, and runs MariaDB and Redis during the block."""
	bench.make_directories()
	with _alone(bench):
		packages.ensure_first(bench)
		config.write(bench)  # the desk's assets are built for the apps that apps.txt names
		side_by_side(lambda: _ensure_servers(bench, for_tests), lambda: _ensure_apps(bench, for_tests))
	with services.running(bench):
		with _alone(bench):
			side_by_side(lambda: sites.ensure(bench), lambda: translations.ensure(bench))
		yield


def ensure_apps(bench: Bench) -> None:
	"""Installs Frappe and memora. Makes no servers and no sites."""
	bench.make_directories()
	with _alone(bench):
		packages.ensure_first(bench)
		config.write(bench)
		_ensure_apps(bench, for_tests=False)


def _alone(bench: Bench) -> AbstractContextManager[None]:
	return exclusive(bench.run / "setup.lock", "another ./dev that sets this bench up")


def _ensure_servers(bench: Bench, for_tests: bool) -> None:
	packages.ensure(bench)
	mariadb.ensure_data(bench)
	if for_tests:
		packages.ensure_browser(bench)


def _ensure_apps(bench: Bench, for_tests: bool) -> None:
	environment.ensure_sources(bench)
	side_by_side(lambda: environment.ensure_requirements(bench), lambda: assets.ensure(bench))
	if for_tests:
		node.ensure(bench)
