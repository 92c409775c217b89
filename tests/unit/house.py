"""The rules of the house, read off the source: each returns its findings as texts. test_house.py holds the app to them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SERVICES = "memora.services"
# From the top down. A module may import what stands below its own room, and its own room.
ROOMS = ("doors", "seeds", "anki", "operations", "figures", "learning", "folding", "cache", "store", "ground")
SEEDS = ("srs_redis_manager", "srs_persistence", "srs_archiver", "srs_reconciliation", "partition_manager")
GROUND = ("settings", "site_time", "alerts")
PURE = "memora.services.learning.scheduling"
IMPURE = ("frappe", "redis", "rq", "pymysql", "MySQLdb", "time", "random", "memora")
DRIVERS_MODULE = "memora.services.store.failures"
DRIVER = re.compile(r"(pymysql|MySQLdb)\b")
DDL_MODULE = "memora.services.store.ddl"
DDL = re.compile(
	r"\b(?:CREATE|ALTER|DROP|RENAME|TRUNCATE|LOCK)\s+(?:TABLES?|INDEX|DATABASE)\b"
	r"|\b(?:ADD|DROP|TRUNCATE|EXCHANGE|REORGANIZE)\s+(?:PARTITION|INDEX|COLUMN|PRIMARY KEY)\b"
	r"|\b(?:MODIFY COLUMN|REMOVE PARTITIONING|PARTITION BY)\b"
)
DDL_CALLS = {"sql_ddl", "add_unique", "change_column_type", "rename_column"}  # of frappe.db
# Statements on tables of Frappe's own, in modules that stand below store
FRAPPES_TABLES = {
	"memora.services.settings": {"tabSingles"},
	"memora.services.alerts": {"tabUser", "tabHas Role"},
}
OTHER_DATABASES = {"memora.services.anki.collection"}  # a deck is an SQLite file
SQL_CALLS = {"sql", "sql_list", "multisql", "executemany"}
TABLE = re.compile(r"`(tab[A-Z{][^`]*)`|\b(tab[A-Z]\w+)|(srs_staging_|to_archive_|to_fill_)")
BIG_TABLES = {"Player Memory Tracker", "Archived Memory Tracker", "Player Review Log", "Review Outbox"}
ORM_CALLS = {
	"get_value",
	"set_value",
	"count",
	"delete",
	"exists",
	"get_all",
	"get_list",
	"get_values",
	"bulk_insert",
}
KEY = re.compile(r"\bsrs:")
CODE = ("memora", "devtools", "benchmarks", "screenshots", "tests")


class Module:
	"""A module's name and syntax tree."""

	def __init__(self, name: str, source: str) -> None:
		self.name, self.source, self.tree = name, source, ast.parse(source)

	@property
	def room(self) -> str:
		return room_of(self.name)

	def imports(self) -> Iterator[str]:
		"""Yields the full name of each thing that is imported, at the top or in a function."""
		for node in ast.walk(self.tree):
			if isinstance(node, ast.Import):
				yield from (alias.name for alias in node.names)
			elif isinstance(node, ast.ImportFrom):
				yield from (f"{node.module}.{alias.name}" for alias in node.names)

	def texts(self) -> Iterator[str]:
		"""Yields the string constants, f-strings with {} for their values, without docstrings."""
		nodes = list(ast.walk(self.tree))
		skipped = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
		skipped |= {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
		for node in nodes:
			if isinstance(node, ast.JoinedStr):
				yield "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
			elif isinstance(node, ast.Constant) and isinstance(node.value, str):
				if id(node) not in skipped:
					yield node.value

	def calls(self) -> Iterator[tuple[str, ast.Call]]:
		"""Yields the last name of what is called, and the call."""
		for node in ast.walk(self.tree):
			if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
				yield node.func.attr, node


def room_of(name: str) -> str:
	"""Returns the room of a module, or of a thing in a module, of Memora."""
	if name.startswith("memora.exceptions"):
		return "ground"
	if not name.startswith(f"{SERVICES}."):
		return "doors"
	first = name.split(".")[2]
	if first in ROOMS:
		return first
	if first in SEEDS:
		return "seeds"
	assert first in GROUND, f"{name} stands in no room: {ROOMS}"
	return "ground"


def module_name(path: Path) -> str:
	return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def find_upward_imports(house: list[Module]) -> list[str]:
	return [
		f"{module.name} ({module.room}) imports {imported} ({room_of(imported)}), which stands above it"
		for module in house
		for imported in module.imports()
		if imported.startswith("memora.") and ROOMS.index(room_of(imported)) < ROOMS.index(module.room)
	]


def find_circles(house: list[Module]) -> list[str]:
	"""Also within a room."""
	names = {module.name for module in house}
	graph = {module.name: {_module_of(i, names) for i in module.imports()} & names for module in house}
	found: list[str] = []
	done: set[str] = set()

	def visit(name: str, way: list[str]) -> None:
		if name in way:
			found.append(" → ".join([*way[way.index(name) :], name]))
		elif name not in done:
			for imported in sorted(graph[name] - {name}):
				visit(imported, [*way, name])
			done.add(name)

	for name in sorted(graph):
		visit(name, [])
	return found


def _module_of(imported: str, names: set[str]) -> str:
	return imported if imported in names else imported.rpartition(".")[0]


def find_impurities(house: list[Module]) -> list[str]:
	return [
		f"{module.name} imports {imported}, but is to be pure"
		for module in house
		if module.name == PURE
		for imported in module.imports()
		if imported.split(".")[0] in IMPURE
	]


def find_drivers_named_outside_their_module(code: list[Module]) -> list[str]:
	"""Frappe decides which of the drivers is used; their exceptions have nothing in common."""
	return [
		f"{module.name} names the driver {name}"
		for module in code
		if module.name != DRIVERS_MODULE
		for name in module.imports()
		if DRIVER.match(name)
	]


def find_sql_outside_store(house: list[Module]) -> list[str]:
	found = []
	for module in house:
		if module.room == "store":
			continue
		allowed = FRAPPES_TABLES.get(module.name, set())
		tables = {m[m.lastindex] for text in module.texts() for m in TABLE.finditer(text)} - allowed
		found += [f"{module.name} names the table {table}" for table in sorted(tables)]
		if not allowed and module.name not in OTHER_DATABASES:
			found += [f"{module.name} calls {name}" for name, call in module.calls() if _runs_sql(name, call)]
		found += [
			f"{module.name} asks {table} by frappe.{name}"
			for name, call in module.calls()
			if name in ORM_CALLS and call.args and (table := _constant(call.args[0])) in BIG_TABLES
		]
	return found


def _runs_sql(name: str, call: ast.Call) -> bool:
	if name == "execute":  # a cursor's, and not a pipeline's, which takes no statement
		return bool(call.args)
	return name in SQL_CALLS


def _constant(node: ast.expr) -> str | None:
	return node.value if isinstance(node, ast.Constant) else None


def find_ddl_outside_its_module(house: list[Module]) -> list[str]:
	return [
		*(
			f"{module.name} has DDL: {m[0]}"
			for module in house
			if module.name != DDL_MODULE
			for text in module.texts()
			if (m := DDL.search(text))
		),
		*(
			f"{module.name} calls {name}"
			for module in house
			if module.name != DDL_MODULE
			for name, _call in module.calls()
			if name in DDL_CALLS
		),
	]


def find_redis_outside_cache(house: list[Module]) -> list[str]:
	"""Texts that spell a schedule's key, and scripts that read or write one."""
	return [
		f"{module.name} names the key {text[:40]!r}"
		for module in house
		if module.room != "cache"
		for text in module.texts()
		if KEY.search(text)
	]


def find_endpoints_outside_api(house: list[Module]) -> list[str]:
	"""A page of www may have functions of its own, and a DocType methods of its documents."""
	return [
		f"{module.name}.{node.name} is whitelisted"
		for module in house
		if not re.match(r"memora\.(api|www|memora\.doctype)\.", module.name)
		for node in ast.walk(module.tree)
		if isinstance(node, ast.FunctionDef)
		and any("whitelist" in ast.unparse(decorator) for decorator in node.decorator_list)
	]


def find_endpoints_without_database(house: list[Module]) -> list[str]:
	"""Endpoints that Frappe would answer with its bare page for 500 when MariaDB dies in the middle of a request."""
	return [
		f"{module.name}.{node.name} is not decorated with needs_database"
		for module in house
		if module.name.startswith("memora.api.")
		for node in ast.walk(module.tree)
		if isinstance(node, ast.FunctionDef)
		and (decorators := [ast.unparse(decorator) for decorator in node.decorator_list])
		and "whitelist" in decorators[0]
		and "needs_database()" not in decorators[1:]
	]


PATH = re.compile(r"\bmemora(?:\.[a-z_0-9]+)+(?:\.[A-Za-z_]\w*)?")
QUOTED_PATH = re.compile(rf"""(["'`])(?:/api/method/)?({PATH.pattern})\1""")


def dotted_paths() -> Iterator[tuple[Path, str]]:
	"""Yields the paths that Frappe, RQ or a browser resolves: in hooks, patches.txt, JSON, JavaScript, and Python texts."""
	for path in sorted((PROJECT / "memora").rglob("*")):
		if path.suffix == ".py":
			for text in Module(module_name(path), path.read_text(encoding="utf-8")).texts():
				if PATH.fullmatch(text):
					yield path, text
		elif path.suffix in (".json", ".js", ".html"):
			yield from ((path, m[2]) for m in QUOTED_PATH.finditer(path.read_text(encoding="utf-8")))
		elif path.name == "patches.txt":
			yield from ((path, m[0]) for m in PATH.finditer(path.read_text(encoding="utf-8")))


def find_unresolved(paths: list[str], house: list[Module]) -> list[str]:
	modules = {module.name: module for module in house}
	return [path for path in paths if not _resolves(path, modules)]


def _resolves(path: str, modules: dict[str, Module]) -> bool:
	if path in modules:
		return True
	parent, _, name = path.rpartition(".")
	return parent in modules and name in _names_in(modules[parent])


def _names_in(module: Module) -> set[str]:
	targets = [node.targets for node in module.tree.body if isinstance(node, ast.Assign)]
	assigned = {target.id for group in targets for target in group if isinstance(target, ast.Name)}
	return assigned | {n.name for n in module.tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}


def code_files() -> list[Path]:
	suffixes = (".py", ".js")
	return [p for folder in CODE for p in sorted((PROJECT / folder).rglob("*")) if p.suffix in suffixes]


def function_lengths(trees: list[ast.AST]) -> list[int]:
	"""Lines from the signature on: decorators, docstrings and what a function defines inside count."""
	nodes = [node for tree in trees for node in ast.walk(tree)]
	functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
	return [node.end_lineno - node.lineno + 1 for node in functions]
