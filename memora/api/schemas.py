"""Types as JSON schemas, for openapi.py."""

import inspect
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from memora.services import site_time

Schema = dict[str, Any]

PREFIX = "#/components/schemas/"


class _Schemas(GenerateJsonSchema):
	"""As Frappe writes values in JSON, and the same under every version of pydantic that a Frappe brings."""

	def datetime_schema(self, schema: Any) -> Schema:
		return {"type": "string", "pattern": site_time.TEXT_PATTERN}

	def literal_schema(self, schema: Any) -> Schema:
		return {"type": "string", "enum": list(schema["expected"])}


def add(annotation: Any, schemas: dict[str, Schema]) -> Schema:
	"""The schema of a type. Those of the TypedDicts in it are added to `schemas`, and referred to under PREFIX."""
	listed = TypeAdapter(list[annotation])  # on its own a TypedDict would not be referred to
	found = _tidy(listed.json_schema(ref_template=f"{PREFIX}{{model}}", schema_generator=_Schemas))
	schemas |= found.pop("$defs", {})
	return found["items"]


def _tidy(schema: Any) -> Any:
	"""Without titles, which repeat names, and what only some versions of pydantic write."""
	if isinstance(schema, list):
		return [_tidy(part) for part in schema]
	if not isinstance(schema, dict):
		return schema
	tidy = {key: _tidy(value) for key, value in schema.items() if key != "title" or isinstance(value, dict)}
	if isinstance(tidy.get("description"), str):
		tidy["description"] = inspect.cleandoc(tidy["description"])
	if "properties" not in tidy and tidy.get("additionalProperties") is True:
		del tidy["additionalProperties"]
	return tidy
