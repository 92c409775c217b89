"""Makes the OpenAPI document of the endpoints in this package from their signatures, types and docstrings.

methods              from frappe.whitelist
parameters, bodies   from annotations and defaults; see parsing.Sent
replies              from return annotations: a TypedDict, or for a reply that is not JSON a werkzeug Response with its
                     media types, such as `Annotated[Response, "text/plain"]`
errors               from the names after "Errors:", the last paragraph of a docstring; and Frappe's own errors
role                 from the function of GUARDS that the endpoint calls
"""

import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import frappe
from werkzeug.wrappers import Response

from memora import __version__, api, exceptions
from memora.api import schemas
from memora.api.schemas import Schema
from memora.api.utils import MONITOR_ROLE
from memora.services.alerts import MANAGER_ROLES

Endpoint = Callable[..., Any]

COMMAND = "./dev bench memora openapi"
LEARNER, MANAGER, MONITOR = "learner", "manager", "monitor"
# Only the desk calls these modules. They may change with the desk, so the document leaves them out.
DESK_ALONE = {"memora.api.desk", "memora.api.cards", "memora.api.data_imports"}
GUARDS = {"require_manager": MANAGER, "require_monitor": MONITOR}

# The errors with which Frappe refuses a call before an endpoint is reached. See _errors for those of a POST alone.
FRAPPE_ERRORS = (frappe.AuthenticationError, frappe.PermissionError)
Refusal = type[Any]  # an exception with http_status_code, from which Frappe takes the status of the reply

FRAPPE_MEANS = {
	frappe.AuthenticationError: "The token is wrong.",
	frappe.PermissionError: "Not signed in, not this user's to do, or not by this HTTP method.",
	frappe.CSRFTokenError: "A session cookie without its X-Frappe-CSRF-Token.",
}

DESCRIPTION = """\
The spaced-repetition engine of a school-learning platform: questions that are due for a learner, her answers, and the
work of managers.

Arguments go into the query, into a JSON body, or into a form. An argument that an endpoint does not have is refused. Each
endpoint has a short name, too: `memora.api.<name>`. A reply has the endpoint's result under `message`.
Datetimes are in the site's time zone. An error carries its name in `exc_type`, and changes nothing. Send
`Accept: application/json`: a client that prefers HTML gets errors as pages. Guide with examples: docs/api.md."""

ROLES = {
	LEARNER: "Any signed-in user, or those with the role that Memora Settings name; for her own data only.",
	MANAGER: f"Users with the role {' or '.join(MANAGER_ROLES)}.",
	MONITOR: f"Users with the role {' or '.join((*MANAGER_ROLES, MONITOR_ROLE))}.",
}

SECURITY_SCHEMES = {
	"token": {
		"type": "apiKey",
		"in": "header",
		"name": "Authorization",
		"description": "`token <api_key>:<api_secret>`; made in the desk: User, Settings, API Access.",
	},
	"cookie": {
		"type": "apiKey",
		"in": "cookie",
		"name": "sid",
		"description": "Set by a POST of `usr` and `pwd` to /api/method/login.",
	},
	"csrf": {
		"type": "apiKey",
		"in": "header",
		"name": "X-Frappe-CSRF-Token",
		"description": "For a POST with a cookie, if the session has a token, as on desk pages (`frappe.csrf_token`).",
	},
}

ERROR = {
	"type": "object",
	"description": "`_server_messages` is a JSON list of JSON objects. Their `message` is for people to read.",
	"properties": {
		"exc_type": {"type": "string"},
		"_server_messages": {"type": "string", "contentMediaType": "application/json"},
	},
	"required": ["exc_type"],
}

RETRY_AFTER = {
	"description": "Seconds until the client may try again.",
	"schema": {"type": "integer", "minimum": 1},
}


def find_endpoints() -> dict[str, Endpoint]:
	"""Returns the whitelisted functions of this package by dotted path, without those of DESK_ALONE."""
	found = {}
	modules = {module.name for module in pkgutil.iter_modules(api.__path__, f"{api.__name__}.")}
	for module in modules - DESK_ALONE:
		for name, function in vars(import_module(module)).items():
			is_own = getattr(function, "__module__", None) == module
			if is_own and inspect.isfunction(function) and function in frappe.whitelisted:
				found[f"{module}.{name}"] = function
	return dict(sorted(found.items()))


def generate() -> Schema:
	"""Returns the whole document. Raises ValueError if a docstring is missing or names an unknown error."""
	found: dict[str, Schema] = {"Error": ERROR}
	paths = {f"/api/method/{path}": path_item(endpoint, found) for path, endpoint in find_endpoints().items()}
	return {
		"openapi": "3.1.0",
		"info": {
			"title": "Memora",
			"version": __version__,
			"description": DESCRIPTION,
			"license": {"name": "MIT", "identifier": "MIT"},
		},
		"servers": [{"url": "/", "description": "The site."}],
		"security": [{"token": []}, {"cookie": []}, {"cookie": [], "csrf": []}],
		"tags": [{"name": role, "description": meaning} for role, meaning in ROLES.items()],
		"paths": paths,
		"components": {"securitySchemes": SECURITY_SCHEMES, "schemas": dict(sorted(found.items()))},
	}


def dumps() -> str:
	"""Returns the document as the text that is committed."""
	return json.dumps(generate(), indent=1, ensure_ascii=False) + "\n"


def committed() -> Path:
	"""Returns the path of the document in a checkout of this repository."""
	return Path(frappe.get_app_path("memora")).parent / "docs" / "openapi.json"


def path_item(endpoint: Endpoint, found: dict[str, Schema]) -> Schema:
	"""Returns an endpoint's operations by method. Adds the schemas that the operations refer to to `found`."""
	methods = frappe.allowed_http_methods_for_whitelisted_func[endpoint]
	return {method.lower(): _operation(endpoint, method, found) for method in methods}


def _operation(endpoint: Endpoint, method: str, found: dict[str, Schema]) -> Schema:
	summary, description = _texts(endpoint)
	role = role_of(endpoint)
	needs = f"For: {ROLES[role]}"
	operation: Schema = {
		"operationId": endpoint.__name__ if method == "POST" else f"{endpoint.__name__}_by_{method.lower()}",
		"tags": [role],
		"summary": summary,
		"description": "\n\n".join(part for part in (description, needs) if part),
	}
	arguments = list(_arguments(endpoint, found))
	if arguments and method == "GET":
		operation["parameters"] = [_query(*argument) for argument in arguments]
	elif arguments:
		operation["requestBody"] = _body(arguments)
	return {**operation, "responses": _responses(endpoint, method, found)}


def _texts(endpoint: Endpoint) -> tuple[str, str]:
	"""Returns the first paragraph of the docstring, and the other paragraphs without the errors."""
	text = _doc(endpoint).partition("Errors:")[0]
	summary, *others = (" ".join(part.split()) for part in text.strip().split("\n\n"))
	return summary, "\n\n".join(others)


def _doc(endpoint: Endpoint) -> str:
	if text := inspect.getdoc(endpoint):
		return text
	raise ValueError(f"{endpoint.__name__} has no docstring")


def role_of(endpoint: Endpoint) -> str:
	"""Returns who may call an endpoint: LEARNER, MANAGER or MONITOR."""
	called = inspect.unwrap(endpoint).__code__.co_names
	return next((role for guard, role in GUARDS.items() if guard in called), LEARNER)


# Arguments


def _arguments(endpoint: Endpoint, found: dict[str, Schema]) -> Iterator[tuple[str, Schema, bool]]:
	"""Yields (name, schema, whether the argument is required).

	An argument whose default is None is required if the schema does not allow null: then the endpoint itself says what is
	missing.
	"""
	hints = get_type_hints(inspect.unwrap(endpoint), include_extras=True)
	for name, parameter in inspect.signature(endpoint).parameters.items():
		schema = schemas.add(hints[name], found)
		default = parameter.default
		is_required = default is parameter.empty or (default is None and "null" not in json.dumps(schema))
		if default is not None and default is not parameter.empty:
			schema = {**schema, "default": default}
		yield name, schema, is_required


def _query(name: str, schema: Schema, is_required: bool) -> Schema:
	if isinstance(schema.get("type"), list):  # a query has no null
		schema = {**schema, "type": schema["type"][0]}
	return {"name": name, "in": "query", "required": is_required, "schema": schema}


def _body(arguments: list[tuple[str, Schema, bool]]) -> Schema:
	required = [name for name, _schema, is_required in arguments if is_required]
	properties = {name: schema for name, schema, _is_required in arguments}
	schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
	if required:
		schema["required"] = required
	return {"required": bool(required), "content": {"application/json": {"schema": schema}}}


# Replies


def _responses(endpoint: Endpoint, method: str, found: dict[str, Schema]) -> Schema:
	by_status: dict[int, list[Refusal]] = {}
	for error in _errors(endpoint, method):
		by_status.setdefault(error.http_status_code, []).append(error)
	refusals = {str(status): _refusal(by_status[status], found) for status in sorted(by_status)}
	return {"200": _reply(endpoint, found), **refusals}


def _reply(endpoint: Endpoint, found: dict[str, Schema]) -> Schema:
	answer = get_type_hints(inspect.unwrap(endpoint), include_extras=True)["return"]
	if media_types := _media_types(answer):
		content = {media_type: {"schema": {"type": "string"}} for media_type in media_types}
		return {"description": "Success.", "content": content}
	schema: Schema = {"type": "object", "properties": {"message": schemas.add(_without_none(answer), found)}}
	if NoneType not in get_args(answer):  # None is not sent
		schema["required"] = ["message"]
	return {"description": "Success.", "content": {"application/json": {"schema": schema}}}


def _media_types(answer: Any) -> tuple[str, ...]:
	"""Returns the media types of an endpoint that makes its own response; none for other endpoints."""
	if get_origin(answer) is Annotated and get_args(answer)[0] is Response:
		return get_args(answer)[1:]
	return ("text/plain",) if answer is Response else ()


def _without_none(answer: Any) -> Any:
	left = [part for part in get_args(answer) if part is not NoneType]
	return left[0] if NoneType in get_args(answer) and len(left) == 1 else answer


def named_errors(endpoint: Endpoint) -> list[tuple[Refusal, int]]:
	"""Returns (error, status) in the order in which a docstring names them after "Errors:".

	One or more names are followed by their status. Raises ValueError for an unknown name or a missing status.
	"""
	text = _doc(endpoint).partition("Errors:")[2]
	found, names = [], []
	for name, status in re.findall(r"([A-Z]\w+)|(\d+)", text):
		if name:
			names.append(name)
			continue
		found += [(_exception(name), int(status)) for name in names]
		names = []
	if names:
		raise ValueError(f"{endpoint.__name__}: no status after {', '.join(names)}")
	return found


def _exception(name: str) -> type[Exception]:
	found = vars(exceptions).get(name) or vars(frappe.exceptions).get(name)
	if not (inspect.isclass(found) and issubclass(found, Exception)):
		raise ValueError(f"there is no exception {name}")
	return found


def _errors(endpoint: Endpoint, method: str) -> list[Refusal]:
	named = [*(error for error, _status in named_errors(endpoint)), exceptions.UnknownArgument]
	with_body = (
		[exceptions.InvalidBody, exceptions.BodyTooLarge, frappe.CSRFTokenError] if method != "GET" else []
	)
	return list(dict.fromkeys([*named, exceptions.DatabaseUnavailable, *FRAPPE_ERRORS, *with_body]))


def _phrase(status: int) -> str:
	"""Returns a status in words, the same on each Python: 3.13 has a new name for 413."""
	return "Content Too Large" if status == 413 else HTTPStatus(status).phrase


def _refusal(errors: list[Refusal], found: dict[str, Schema]) -> Schema:
	names = [error.__name__ for error in errors]
	found |= {error.__name__: _error(error) for error in errors}
	references = [{"$ref": schemas.PREFIX + name} for name in names]
	response: Schema = {
		"description": f"{_phrase(errors[0].http_status_code)}: {', '.join(names)}.",
		"content": {
			"application/json": {"schema": references[0] if len(names) == 1 else {"anyOf": references}}
		},
	}
	says_when = [issubclass(error, exceptions.TryLater) for error in errors]
	if any(says_when):
		response["headers"] = {"Retry-After": {**RETRY_AFTER, "required": all(says_when)}}
	return response


def _error(error: Refusal) -> Schema:
	return {
		"description": " ".join((FRAPPE_MEANS.get(error) or inspect.getdoc(error) or "").split()),
		"allOf": [{"$ref": f"{schemas.PREFIX}Error"}],
		"properties": {"exc_type": {"enum": [error.__name__]}},
	}
