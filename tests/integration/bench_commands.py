"""Bench commands in this process, with a frappe.local and a connection of their own."""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import click
from click.testing import CliRunner, Result
from frappe.utils.bench_helper import get_app_groups

from tests.frappe_versions import STDERR_APART


def run(*args: str, input: str = "") -> Result:
	"""Runs `bench <args>`; returns exit code, stdout and stderr. `input` is what somebody types."""
	runner = CliRunner(**STDERR_APART)
	with ThreadPoolExecutor(1) as threads:
		return threads.submit(runner.invoke, group(), args, input=input, obj={}).result()


@lru_cache
def group() -> click.Group:
	"""All commands of the bench's apps."""
	return get_app_groups()["frappe"]
