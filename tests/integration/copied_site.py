"""A second site of the bench, made from a backup of the tests' own site."""

import json
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import frappe

from devtools import mariadb, sites
from devtools.paths import current_bench

T = TypeVar("T")
NAME, DATABASE = "copy.memora.localhost", "memora_copy"
SECONDS = 60


class CopiedSite:
	"""Beside the original: a database, a folder, and the same three Redis."""

	def __init__(self, folder: Path, **config: Any) -> None:
		self.bench, self.original = current_bench(), frappe.local.site
		self.folder = self.bench.site(NAME)
		shutil.copytree(self.bench.site(self.original), self.folder, ignore=shutil.ignore_patterns(".*"))
		self.configure(db_name=DATABASE, db_user=DATABASE, db_password=DATABASE, **config)
		self.dump = folder / "original.sql"

	def copy(self) -> None:
		"""Puts the original's present rows over those of the copy."""
		frappe.db.commit()
		mariadb.dump(self.bench, frappe.conf.db_name, self.dump)
		with mariadb.hasty(self.bench):
			mariadb.load(self.bench, self.dump, DATABASE, DATABASE)

	def configure(self, **values: Any) -> None:
		path = self.folder / "site_config.json"
		path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

	@property
	def config(self) -> dict[str, Any]:
		return json.loads((self.folder / "site_config.json").read_text())

	def run(self, action: Callable[[], T]) -> T:
		"""Runs an action on this site, in a thread with its own frappe.local."""
		sites_path = frappe.local.sites_path

		def on_site() -> T:
			frappe.init(NAME, sites_path=sites_path)
			try:
				frappe.connect()
				return action()
			finally:
				frappe.destroy()

		with ThreadPoolExecutor(1) as threads:
			return threads.submit(on_site).result(SECONDS)

	def command(self, *args: str) -> str:
		"""Runs `bench --site <this site> <args>` in a process of its own, and returns what it printed."""
		command = sites.bench_command(self.bench, "--site", NAME, *args)
		done = subprocess.run(command, cwd=self.bench.sites, capture_output=True, text=True)
		assert done.returncode == 0, done.stdout + done.stderr
		return done.stdout

	def restore(self, dump: Path) -> None:
		root = ["--db-root-username", "root", "--db-root-password", mariadb.root_password(self.bench)]
		with mariadb.hasty(self.bench):
			self.command("restore", str(dump), *root, "--force")

	def remove(self) -> None:
		mariadb.drop(self.bench, DATABASE)
		shutil.rmtree(self.folder, ignore_errors=True)
