"""Turns types into JSON schemas, for openapi.py."""

import inspect
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from memora.services import site_time

Schema = dict[str, Any]

PREFIX = "#/components/schemas/"


class _Schemas(GenerateJsonSchema):
	"""Describes values as Frappe writes them in JSON. The schemas do not depend on the version of pydantic."""

	def datetime_schema(self, schema: Any) -> Schema:
		return {"type": "string", "pattern": site_time.TEXT_PATTERN}

	def literal_schema(self, schema: Any) -> Schema:
		return {"type": "string", "enum": list(schema["expected"])}

	def typed_dict_schema(self, schema: Any) -> Schema:
		described = super().typed_dict_schema(schema)
		if "cls" in schema and not hasattr(schema["cls"], "__pydantic_config__"):
			described.pop(
				"additionalProperties", None
			)  # pydantic 2.12 passes it on from the TypedDict around this one
		return described


def add(annotation: Any, schemas: dict[str, Schema]) -> Schema:
	"""Returns the schema of a type. Adds the schemas of its TypedDicts to `schemas`, and refers to them under PREFIX."""
	listed = TypeAdapter(list[annotation])  # pydantic does not refer to a TypedDict that is on its own
	found = _tidy(listed.json_schema(ref_template=f"{PREFIX}{{model}}", schema_generator=_Schemas))
	schemas |= found.pop("$defs", {})
	return found["items"]


def _tidy(schema: Any) -> Any:
	"""Returns a schema without titles, which only repeat names, and without what only some versions of pydantic write."""
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
