"""The test of the house: rooms, and what each may use. docs/architecture.md says why.

The tests at the end show, on source of their own, that each rule of house.py finds what it should.
"""

import ast
from statistics import median, quantiles

import pytest

from tests.unit.house import (
	CODE,
	PROJECT,
	PURE,
	Module,
	code_files,
	dotted_paths,
	find_circles,
	find_ddl_outside_its_module,
	find_drivers_named_outside_their_module,
	find_endpoints_outside_api,
	find_endpoints_without_database,
	find_impurities,
	find_redis_outside_cache,
	find_sql_outside_store,
	find_unresolved,
	find_upward_imports,
	function_lengths,
	module_name,
)

LARGEST_FILE_LINES, MEDIAN_FUNCTION_LINES, LONG_FUNCTION_LINES = 350, 8, 20


@pytest.fixture(scope="module")
def house() -> list[Module]:
	paths = sorted((PROJECT / "memora").rglob("*.py"))
	return [Module(module_name(path), path.read_text(encoding="utf-8")) for path in paths]


def test_imports_run_down_the_list_of_rooms(house):
	assert find_upward_imports(house) == []


def test_no_modules_import_each_other_in_a_circle(house):
	assert find_circles(house) == []


def test_scheduling_is_pure(house):
	assert any(module.name == PURE for module in house)
	assert find_impurities(house) == []


def test_sql_on_memoras_tables_stands_in_store(house):
	assert find_sql_outside_store(house) == []


def test_ddl_stands_in_one_module(house):
	assert find_ddl_outside_its_module(house) == []


def test_endpoints_say_when_mariadb_is_away(house):
	assert find_endpoints_without_database(house) == []


def test_drivers_of_mariadb_are_named_in_one_module():
	paths = [path for path in code_files() if path.suffix == ".py"]
	code = [Module(module_name(path), path.read_text(encoding="utf-8")) for path in paths]
	assert find_drivers_named_outside_their_module(code) == []


def test_commands_on_schedules_stand_in_cache(house):
	assert find_redis_outside_cache(house) == []


def test_endpoints_stand_in_api(house):
	assert find_endpoints_outside_api(house) == []


# Names that look like paths: of files, of sites, of events
NO_PATHS = ("memora.localhost", "memora.bundle.js", "memora.bundle.css")


def test_dotted_paths_resolve(house):
	found = [(path, text) for path, text in dotted_paths() if text not in NO_PATHS]
	assert len(found) > 20
	wrong = set(find_unresolved([text for _path, text in found], house))
	assert [(path.name, text) for path, text in found if text in wrong] == []


def test_files_are_short():
	lines = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in code_files()}
	assert {str(p.relative_to(PROJECT)): n for p, n in lines.items() if n > LARGEST_FILE_LINES} == {}


@pytest.mark.parametrize("folder", CODE)
def test_functions_are_short(folder):
	paths = [path for path in code_files() if path.suffix == ".py" and path.is_relative_to(PROJECT / folder)]
	lengths = function_lengths([ast.parse(path.read_text(encoding="utf-8")) for path in paths])
	assert median(lengths) <= MEDIAN_FUNCTION_LINES
	assert quantiles(lengths, n=10)[-1] <= LONG_FUNCTION_LINES


def test_a_common_word_is_a_public_function_of_few_modules(house):
	"""`get`, `find` or `rebuild` in many modules can't be searched for."""
	owners: dict[str, list[str]] = {}
	for module in house:
		for node in module.tree.body:
			if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in COMMON_WORDS:
				owners.setdefault(node.name, []).append(module.name)
	assert {name: modules for name, modules in owners.items() if len(modules) > 1} == {}


COMMON_WORDS = {
	*("get", "find", "read", "run", "start", "stop", "cancel", "rebuild", "describe", "compute", "count"),
	*("render", "preview", "Counts", "Report", "Result", "Status"),
}
WRONG = {
	find_upward_imports: ("memora.services.store.wrong", "from memora.services.cache import schedules"),
	find_impurities: (PURE, "import frappe"),
	find_sql_outside_store: ("memora.api.wrong", "SQL = 'SELECT name FROM `tabReview Outbox`'"),
	find_ddl_outside_its_module: (
		"memora.services.store.wrong",
		"SQL = f'ALTER TABLE {table} ENGINE=InnoDB'",
	),
	find_drivers_named_outside_their_module: ("memora.wrong", "from pymysql.err import MySQLError"),
	find_redis_outside_cache: ("memora.services.learning.wrong", "key = f'srs:{learner}:{season}'"),
	find_endpoints_without_database: ("memora.api.wrong", "@frappe.whitelist()\ndef wrong(): ..."),
	find_endpoints_outside_api: ("memora.wrong", "@frappe.whitelist()\ndef wrong(): ..."),
}


@pytest.mark.parametrize("rule", WRONG, ids=lambda rule: rule.__name__)
def test_a_rule_finds_what_it_should(house, rule):
	wrong = Module(*WRONG[rule])
	assert any(wrong.name in finding for finding in rule([*house, wrong]))


@pytest.mark.parametrize(
	"source",
	[
		"frappe.db.sql(statement)",
		"frappe.db.count('Review Outbox')",
		"cursor.execute(statement)",
		"statement = f'SELECT 1 FROM `tab{doctype}`'",
		"statement = 'TRUNCATE srs_staging_p_2026'",
	],
)
def test_sql_is_found_however_it_is_run(source):
	assert find_sql_outside_store([Module("memora.wrong", source)])


def test_a_circle_is_found():
	house = [Module("memora.a", "from memora import b"), Module("memora.b", "from memora.a import thing")]
	assert find_circles(house) == ["memora.a → memora.b → memora.a"]


def test_a_path_that_leads_nowhere_is_found(house):
	right, wrong = "memora.services.folding.folds.fold", "memora.services.folding.folds.unfold"
	assert find_unresolved([right, wrong, "memora.gone"], house) == [wrong, "memora.gone"]
