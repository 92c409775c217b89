"""Holds real responses against docs/openapi.json, so that the document can't say what is not so."""

import json
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import requests
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from devtools.paths import PROJECT

DOCUMENT = json.loads((PROJECT / "docs" / "openapi.json").read_text())
URI = "urn:memora"


def check(response: requests.Response) -> None:
	"""Fails unless status, media type, body and Retry-After are what the document says of this endpoint.

	What is no endpoint of ours is let through, and pages, which Frappe makes of errors for whoever prefers HTML.
	"""
	request = response.request
	item = DOCUMENT["paths"].get(urlsplit(request.url).path)
	if not item or request.headers.get("Accept", "").startswith("text/html"):
		return
	operation = item.get(request.method.lower())
	if not operation:
		assert response.status_code == 403, f"{request.method} {request.url}: not in the document"
		return
	_check(operation, response)


def _check(operation: dict[str, Any], response: requests.Response) -> None:
	what = f"{operation['operationId']}, {response.status_code}: {response.text[:500]}"
	documented = operation["responses"].get(str(response.status_code))
	assert documented, f"not in the document: {what}"
	header = documented.get("headers", {}).get("Retry-After")
	assert ("Retry-After" in response.headers) <= bool(header), what
	if header and header["required"]:
		assert int(response.headers.get("Retry-After", 0)) >= 1, what
	media_type = response.headers["Content-Type"].partition(";")[0]
	assert media_type in documented["content"], what
	if media_type == "application/json":
		found = errors(documented["content"][media_type]["schema"], response.json())
		assert not found, f"{found}: {what}"


def errors(schema: dict[str, Any], instance: Any) -> list[str]:
	"""Returns what is wrong with an instance by a schema, which may refer to schemas of the document."""
	return [error.message for error in _validator(json.dumps(schema)).iter_errors(instance)]


@cache
def _validator(schema: str) -> Draft202012Validator:
	local = json.loads(schema.replace('"#/', f'"{URI}#/'))
	registry = Registry().with_resource(URI, Resource(_closed(DOCUMENT), DRAFT202012))
	return Draft202012Validator(local, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER)


def _closed(document: dict[str, Any]) -> dict[str, Any]:
	"""With no key left that the document does not name: clients are to overlook new ones, tests are not."""
	schemas = {
		name: schema if is_error(schema) or name == "Error" else {"additionalProperties": False, **schema}
		for name, schema in document["components"]["schemas"].items()
	}
	return {**document, "components": {"schemas": schemas}}


def is_error(schema: dict[str, Any]) -> bool:
	return {"$ref": "#/components/schemas/Error"} in schema.get("allOf", ())
