"""Which Python and which driver a bench gets."""

import re
import sys
from pathlib import Path

import pytest

from devtools import drivers, frappe_source, pythons
from devtools.paths import PROJECT, current_bench
from devtools.report import Failure

RUNNING = f"{sys.version_info[0]}.{sys.version_info[1]}"
OTHER_FRAPPE = next(frappe for frappe, suitable in pythons.SUITABLE.items() if RUNNING not in suitable)


def test_the_bench_has_a_python_that_suits_its_frappe():
	assert RUNNING in pythons.SUITABLE[frappe_source.major_version(current_bench())]


def test_a_suitable_python_is_found(monkeypatch):
	monkeypatch.delenv("MEMORA_PYTHON", raising=False)
	frappe = frappe_source.major_version(current_bench())
	assert pythons.choose(frappe).minor in pythons.SUITABLE[frappe]


def test_memora_python_is_taken(monkeypatch):
	monkeypatch.setenv("MEMORA_PYTHON", sys.executable)
	assert pythons.choose(frappe_source.major_version(current_bench())).path == Path(sys.executable)


@pytest.mark.parametrize("named", ["/nothing/there", "/bin/true", "/bin/false"])
def test_memora_python_that_is_no_python(named, monkeypatch):
	monkeypatch.setenv("MEMORA_PYTHON", named)
	with pytest.raises(Failure, match=f"MEMORA_PYTHON={named} is no program that runs as Python"):
		pythons.choose(15)


def test_memora_python_that_does_not_suit(monkeypatch):
	monkeypatch.setenv("MEMORA_PYTHON", sys.executable)
	with pytest.raises(Failure, match=rf"is Python {RUNNING}\.\d+, and Frappe {OTHER_FRAPPE} runs on"):
		pythons.choose(OTHER_FRAPPE)


def test_a_frappe_that_is_not_supported():
	with pytest.raises(Failure, match="memora runs on Frappe 15 or 16, and this is Frappe 14"):
		pythons.choose(14)


def test_memora_allows_each_of_these_pythons():
	first, last = re.findall(
		r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (PROJECT / "pyproject.toml").read_text()
	)[0]
	minors = {int(minor.partition(".")[2]) for suitable in pythons.SUITABLE.values() for minor in suitable}
	assert (min(minors), max(minors)) == (int(first), int(last) - 1)


def test_a_driver_that_this_frappe_does_not_have(monkeypatch):
	monkeypatch.setenv("MEMORA_DRIVER", "odbc")
	with pytest.raises(Failure, match="MEMORA_DRIVER=odbc: with this Frappe it may be "):
		drivers.chosen(current_bench())


def test_the_frappe_of_a_new_bench_suits_the_python(monkeypatch):
	monkeypatch.setenv("MEMORA_PYTHON", sys.executable)
	assert pythons.preferred_frappe() == frappe_source.major_version(current_bench())
