"""All that can be called over HTTP: what docs/openapi.json lists, what the desk and the page call, what forms call on documents."""

import ast
import inspect
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import frappe

from devtools.paths import PROJECT
from tests.integration import contract

PREFIX = "/api/method/"


class Target(NamedTuple):
	"""A function. `fields` are those of the items of an argument that takes a list of objects."""

	path: str
	verbs: tuple[str, ...]
	arguments: tuple[str, ...]
	fields: tuple[tuple[str, str], ...] = ()


def documented() -> dict[str, Target]:
	"""Returns the endpoints of docs/openapi.json by dotted path."""
	found = {}
	for address, item in contract.DOCUMENT["paths"].items():
		path = address.removeprefix(PREFIX)
		schemas = {name: schema for verb in item for name, schema in _arguments(item[verb])}
		fields = [(name, field) for name, schema in schemas.items() for field in _fields(schema)]
		found[path] = Target(path, tuple(verb.upper() for verb in item), tuple(schemas), tuple(fields))
	return found


def _arguments(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
	for parameter in operation.get("parameters", ()):
		yield parameter["name"], parameter["schema"]
	content = operation.get("requestBody", {}).get("content", {})
	yield from content.get("application/json", {}).get("schema", {}).get("properties", {}).items()


def _fields(schema: dict[str, Any]) -> list[str]:
	return list(schema.get("items", {}).get("properties", {}))


def undocumented() -> dict[str, Target]:
	"""Returns the other functions that carry frappe.whitelist, which the desk and the learner's page call."""
	known, found = documented(), {}
	for path in decorated():
		module, _dot, name = path.rpartition(".")
		function = getattr(import_module(module), name, None)  # None for a method of a class
		if function and path not in known:
			verbs = tuple(frappe.allowed_http_methods_for_whitelisted_func[function])
			found[path] = Target(path, verbs, tuple(inspect.signature(function).parameters))
	return found


def of_documents() -> list[tuple[str, str, str]]:
	"""Returns (DocType, method, module) of each method that a form, or anybody, may have called on a document."""
	found = []
	for file in sorted((PROJECT / "memora" / "memora" / "doctype").glob("*/*.json")):
		doctype, module = (
			json.loads(file.read_text())["name"],
			f"memora.memora.doctype.{file.stem}.{file.stem}",
		)
		controller = getattr(import_module(module), doctype.replace(" ", ""))
		for name, function in inspect.getmembers(controller, inspect.isfunction):
			if function in frappe.whitelisted and function.__module__.startswith("memora."):
				found.append((doctype, name, function.__module__))
	return found


def whitelisted() -> set[str]:
	"""Returns what Frappe itself takes for callable, once all modules of the app are imported."""
	for file in (PROJECT / "memora").rglob("*.py"):
		import_module(module_of(file))
	return {f"{f.__module__}.{f.__name__}" for f in frappe.whitelisted if f.__module__.startswith("memora.")}


def module_of(file: Path) -> str:
	return ".".join(file.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def decorated() -> list[str]:
	"""Returns `module.function` of whatever carries frappe.whitelist in the source, also of methods of classes."""
	found = []
	for file in sorted((PROJECT / "memora").rglob("*.py")):
		module = module_of(file)
		for node in ast.walk(ast.parse(file.read_text())):
			names = map(ast.unparse, getattr(node, "decorator_list", ()))
			found += [f"{module}.{node.name}" for name in names if "whitelist" in name]
	return found
