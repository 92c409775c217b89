"""Which careless changes `./dev mutants` makes of a text, and which tests it takes for a line."""

import ast
import json
from pathlib import Path

import pytest

from devtools.mutants import changes, command, places, texts, tracing
from devtools.mutants.copy import Copy
from devtools.mutants.reach import Reach, in_time
from devtools.paths import PROJECT, Bench
from devtools.report import Failure

SQL = '''
DUE = """
	SELECT DISTINCT name FROM t WHERE season = %(season)s AND due <= %(now)s AND name BETWEEN %(a)s AND %(b)s
	AND (x IS NULL OR y > 1) ORDER BY due LIMIT %(limit)s FOR UPDATE SKIP LOCKED"""
PARK = "UPDATE t SET parked_at = %(now)s, error = IF(a, b, c) WHERE name = %(name)s"
'''
LUA = """
ADD = Script(\"\"\"
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], 'x', 'EX', ARGV[3])
return 1
\"\"\")
"""
PYTHON = '''
def work(learner):
	"""Deletes nothing WHERE nothing is."""
	with lock(learner):
		frappe.db.delete("X")
	frappe.logger("memora").info("done")
	with connection() as own:
		return own
'''


def applied(source: str) -> dict[str, str]:
	"""Returns {text after a change: kind}, without the lines that stay."""
	found = {}
	for kind, (start, end, new) in texts.changes(source):
		after = source[:start] + new + source[end:]
		ast.parse(after)
		kept = set(source.split("\n"))
		found["\n".join(line.strip() for line in after.split("\n") if line not in kept)] = kind
	return found


@pytest.mark.parametrize(
	"part, kind",
	[
		("WHERE TRUE AND due <= %(now)s AND name BETWEEN", "SqlCondition"),
		("season = %(season)s AND TRUE AND name BETWEEN", "SqlCondition"),
		("due <= %(now)s AND TRUE", "SqlCondition"),
		("AND TRUE ORDER BY due LIMIT", "SqlCondition"),
		("due < %(now)s", "Sql"),
		("SELECT name FROM t", "Sql"),
		("(x IS NOT NULL OR y > 1)", "Sql"),
		("(x IS NULL AND y > 1)", "Sql"),
		("ORDER BY due DESC LIMIT", "Sql"),
		('LIMIT %(limit)s FOR UPDATE"', "Sql"),
		("ORDER BY due FOR UPDATE SKIP LOCKED", "Sql"),
		("SET error = IF(a, b, c) WHERE", "SqlSet"),
		("SET parked_at = %(now)s WHERE", "SqlSet"),
	],
)
def test_sql_loses_conditions_locks_and_assignments(part, kind):
	assert [k for text, k in applied(SQL).items() if part in " ".join(text.split())] == [kind]


@pytest.mark.parametrize(
	"text",
	[
		"",
		"redis.call('SET', KEYS[2], 'x')",
		"return 0",
		"if redis.call('GET', KEYS[2]) == ARGV[2] then return 0 end",
	],
)
def test_lua_loses_calls_guards_and_lifetimes(text):
	assert applied(LUA)[text] == "Lua"


def test_python_loses_statements_and_locks():
	assert applied(PYTHON) == {"if True:": "DropWith", "pass": "DropStatement"}


@pytest.mark.parametrize("path", ["memora/services/cache/scripts.py", "memora/services/store/outbox.py"])
def test_a_change_says_what_it_does_and_leaves_python_behind(path):
	source = (PROJECT / path).read_text()
	found = list(changes._changes(path, []))
	assert len(found) > 20 and len({change.key for change in found}) == len(found)
	for change in found:
		ast.parse(change.applied(source))
		assert change.before != change.after
		assert change.before.split(" ")[0] in source.split("\n")[change.line - 1]


def test_modules_by_path_and_by_dotted_name():
	folding = command._paths(["folding/"])
	assert "memora/services/folding/folds.py" in folding == command._paths(["memora.services.folding"])
	assert command._paths(["cache.loading"]) == ["memora/services/cache/loading.py"]
	assert command._paths(["memora/api/turns.py"]) == ["memora/api/turns.py"]
	with pytest.raises(Failure, match="nowhere"):
		command._paths(["nowhere"])


def test_a_sample_is_the_same_for_the_same_seed():
	found = list(changes._changes("memora/services/store/outbox.py", []))
	assert command._chosen(found, 9, 1) == command._chosen(found, 9, 1) != command._chosen(found, 9, 2)
	assert len(command._chosen(found, 9, 1)) == 9
	assert command._chosen(found, len(found), 1) == found


def test_tests_are_taken_as_long_as_time_is_left():
	seconds = {"a": 1.0, "b": 3.0, "c": 9.0}
	assert in_time("abc", seconds, 5) == ["a", "b"]
	assert in_time("c", seconds, 5) == ["c"]


MODULE = """LIMIT = 3
SQL = f"... {LIMIT}"


def one():
	return 1


def two(x):
	if x:
		return SQL
	return 2
"""


@pytest.fixture
def reach(tmp_path) -> Reach:
	"""Test `a` has run the first lines of two(), `b` all of them, `c` one()."""
	copy = Copy(Bench(tmp_path))
	file = copy.root / "memora" / "m.py"
	file.parent.mkdir(parents=True)
	file.write_text(MODULE)
	lines = {"a": {"two": "b"}, "b": {"two": "f"}, "c": {"one": "3"}}
	rows = [
		{"id": test, "file": "t.py", "seconds": seconds, "lines": {"memora/m.py": lines[test]}}
		for test, seconds in (("a", 1), ("b", 2), ("c", 3))
	]
	(copy.folder / "lines.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
	reach = Reach(copy)
	reach.load()
	return reach


@pytest.mark.parametrize(
	"line, tests",
	[(6, {"c"}), (9, {"a", "b"}), (10, {"a", "b"}), (11, {"b"}), (12, {"a", "b"}), (1, {"b"}), (2, {"b"})],
)
def test_the_tests_of_a_line_are_those_that_run_it_or_what_uses_its_name(reach, line, tests):
	assert reach._tests_of_line("memora/m.py", line) == tests


def test_the_copy_has_its_text_back_after_a_change_and_compiled_files_are_not_taken_for_it(reach):
	copy, file = reach.copy, reach.copy.root / "memora" / "m.py"
	times = {file.stat().st_mtime}
	for text in ("LIMIT = 4\n", "LIMIT = 5\n"):
		with copy.changed("memora/m.py", text):
			assert file.read_text() == text
			times.add(int(file.stat().st_mtime))
	assert file.read_text() == MODULE
	assert len(times) == 3


def test_lines_are_counted_from_def():
	file = PROJECT / "devtools" / "mutants" / "places.py"
	line = Path(file).read_text().split("\n").index("def place_of(path: Path, line: int) -> Place:") + 1
	assert places.place_of(file, line) == ("place_of", 0)
	assert places.place_of(file, 1).function == ""
	assert tracing.APP == f"{PROJECT}/memora/"
