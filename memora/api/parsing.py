"""Checks what clients send, before anything is read or written. Every error names the item and the field."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, NoReturn, TypeGuard

import frappe
from frappe import _
from markupsafe import Markup

from memora.exceptions import InvalidFilter, InvalidLimit, InvalidResponses, InvalidSubmissionId, quoting
from memora.services.learning import plain_names
from memora.services.learning.answers import Response
from memora.services.learning.plain_names import (
	MAX_NAME_LENGTH,
	MAX_QUESTION_ID_LENGTH,
	MAX_SUBMISSION_ID_LENGTH,
)
from memora.services.learning.question_source import get_source

MAX_LIMIT = 50
MAX_RESPONSES = 50
MAX_RESPONSE_TIME_MS = 24 * 60 * 60 * 1000  # a longer time comes from a broken clock
MAX_CHOSEN_LENGTH = 140  # the width of the column
FORMER_NAMES = {"time_spent_ms": "response_time_ms"}  # of an answer's fields, in earlier systems
QUALITY_RIGHT, QUALITY_WRONG = 4, 1  # the qualities that `is_correct` stands for


@dataclass(frozen=True, eq=False)  # compared by identity: Frappe keeps annotations as keys of a dictionary
class Sent:
	"""The JSON schema of an argument that a client sends.

	For Frappe the argument is Any. The functions below check the argument, so that errors name the item and the field.
	"""

	schema: dict[str, Any]

	def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
		return self.schema


def whole_number(maximum: int) -> Sent:
	"""Returns the schema of an argument that parse_number checks: a whole number from 1."""
	return Sent({"type": "integer", "minimum": 1, "maximum": maximum})


_ANSWER = {
	"type": "object",
	"properties": {
		"question_id": {
			"type": "string",
			"minLength": 1,
			"maxLength": MAX_QUESTION_ID_LENGTH,
			"description": "Letters and digits of any alphabet, and `. _ : -`; or the id of a question that exists.",
		},
		"quality": {
			"type": "integer",
			"minimum": 0,
			"maximum": 5,
			"description": "0 to 2 forgotten, 3 hard, 4 good, 5 easy.",
		},
		"is_correct": {
			"type": "boolean",
			"description": f"Instead of quality: {QUALITY_RIGHT} or {QUALITY_WRONG}.",
		},
		"chosen": {
			"type": "string",
			"minLength": 1,
			"maxLength": MAX_CHOSEN_LENGTH,
			"description": "Instead of quality: the key of the option that was chosen. The server grades it.",
		},
		"response_time_ms": {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_RESPONSE_TIME_MS},
		"practice": {
			"type": ["boolean", "null"],
			"description": "Repeats a question outside its schedule. Practice is journalled and moves no date.",
		},
	},
	"required": ["question_id"],
	"anyOf": [{"required": ["chosen"]}, {"required": ["quality"]}, {"required": ["is_correct"]}],
}

Limit = Annotated[Any, whole_number(MAX_LIMIT)]
Name = Annotated[Any, Sent({"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH})]
Filter = Annotated[Any, Sent({"type": ["string", "null"], "maxLength": MAX_NAME_LENGTH})]
Flag = Annotated[Any, Sent({"type": "boolean"})]
SubmissionId = Annotated[
	Any,
	Sent(
		{
			"type": ["string", "null"],
			"minLength": 1,
			"maxLength": MAX_SUBMISSION_ID_LENGTH,
			"pattern": f"^{plain_names.SUBMISSION_ID.pattern}$",
		}
	),
]
Responses = Annotated[
	Any, Sent({"type": "array", "minItems": 1, "maxItems": MAX_RESPONSES, "items": _ANSWER})
]


def parse_limit(value: Any, maximum: int = MAX_LIMIT) -> int:
	"""Returns a limit: a whole number from 1 to the maximum, which may be sent as text. Raises InvalidLimit."""
	return parse_number("limit", value, maximum)


def parse_number(field: str, value: Any, maximum: int) -> int:
	"""Returns a whole number from 1 to the maximum, which may be sent as text. Raises InvalidLimit."""
	try:
		number = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else 0
	except ValueError:
		number = 0
	if not 1 <= number <= maximum:
		frappe.throw(
			quoting(_("{0} must be a whole number from 1 to {1}, not {2}."), field, maximum, _shown(value)),
			InvalidLimit,
		)
	return number


def parse_name(field: str, value: Any) -> str:
	"""Returns the name of a season, user or job. Raises InvalidFilter if the name is missing or malformed."""
	if name := parse_filter(field, value):
		return name
	frappe.throw(quoting(_("{0} is missing."), field), InvalidFilter)


def parse_flag(field: str, value: Any) -> bool:
	"""Returns a flag, which may be sent as true, false, 1 or 0, or as one of these in text. Raises InvalidFilter."""
	flags = {"true": True, "1": True, "false": False, "0": False, "": False}
	if (text := str(value).strip().lower()) not in flags:
		frappe.throw(quoting(_("{0} must be true or false, not {1}."), field, _shown(value)), InvalidFilter)
	return flags[text]


def parse_filter(field: str, value: Any) -> str | None:
	"""Returns the name of a subject or topic, or None if the client names none. Raises InvalidFilter."""
	if value in (None, ""):
		return None
	if not _is_text(value, MAX_NAME_LENGTH):
		frappe.throw(
			quoting(
				_("{0} must be a text of at most {1} characters, not {2}."),
				field,
				MAX_NAME_LENGTH,
				_shown(value),
			),
			InvalidFilter,
		)
	return value


def parse_date(field: str, value: Any) -> date:
	"""Returns a date in ISO format. Raises InvalidFilter."""
	try:
		return date.fromisoformat(parse_name(field, value))
	except ValueError:
		frappe.throw(
			quoting(_("{0} must be a date such as 2027-06-30, not {1}."), field, _shown(value)), InvalidFilter
		)


def parse_hour(field: str, value: Any) -> int:
	"""Returns an hour, from 0 to 23, which may be sent as text. Raises InvalidFilter."""
	text = parse_name(field, str(value))
	if not (text.isascii() and text.isdigit() and int(text[:3]) < 24):
		frappe.throw(
			quoting(_("{0} must be an hour from 0 to 23, not {1}."), field, _shown(value)), InvalidFilter
		)
	return int(text)


def parse_submission_id(value: Any) -> str | None:
	"""Returns a submission's id, or None if the client sends none. Raises InvalidSubmissionId."""
	if value is None:
		return None
	if not isinstance(value, str) or not plain_names.is_submission_id(value):
		frappe.throw(
			quoting(
				_(
					"submission_id must be 1 to {0} letters and digits of ASCII, and of . _ : - behind the first, not {1}."
				),
				MAX_SUBMISSION_ID_LENGTH,
				_shown(value),
			),
			InvalidSubmissionId,
		)
	return value


def parse_responses(value: Any) -> list[Response]:
	"""Returns 1 to 50 answers, each to another question, from a list or its JSON text. Raises InvalidResponses."""
	items = _from_json(value)
	if not isinstance(items, list):
		_refuse(quoting(_("responses must be a list, not {0}."), _shown(items)))
	if not 1 <= len(items) <= MAX_RESPONSES:
		_refuse(quoting(_("responses must hold 1 to {0} answers, not {1}."), MAX_RESPONSES, len(items)))
	responses = [_parse_response(index, item) for index, item in enumerate(items)]
	seen: dict[str, int] = {}
	for index, response in enumerate(responses):
		if response.question_id in seen:
			_refuse_field(
				index, "question_id", _("is the same as in item {0}").format(seen[response.question_id])
			)
		seen[response.question_id] = index
	_refuse_strange_ids(seen)
	return responses


def _refuse_strange_ids(ids: dict[str, int]) -> None:
	"""Refuses ids with other characters than an id has, unless a question that exists is named so.

	Questions had been named freely before, and a host app names its own.
	"""
	strange = [name for name in ids if not plain_names.is_question_id(name)]
	harmless = [name for name in strange if plain_names.is_harmless(name)]
	known = get_source().get_questions(harmless) if harmless else {}
	for name in strange:
		if name not in known:
			rule = _("must be letters, digits, and . _ : - behind the first, or the id of a question")
			_refuse_field(ids[name], "question_id", rule, name)


def _from_json(value: Any) -> Any:
	if not isinstance(value, str):
		return value
	try:
		return json.loads(value)
	except (ValueError, RecursionError) as error:
		_refuse(quoting(_("responses is not valid JSON: {0}."), error))


def _parse_response(index: int, item: Any) -> Response:
	if not isinstance(item, dict):
		_refuse(quoting(_("responses, item {0}: must be an object, not {1}."), index, _shown(item)))
	_refuse_former_names(index, item)
	chosen = _parse_chosen(index, item.get("chosen"))
	return Response(
		question_id=_parse_question_id(index, item.get("question_id")),
		quality=_parse_quality(index, item) if chosen is None else 0,  # until the server has graded it
		response_time_ms=_parse_response_time(index, item.get("response_time_ms")),
		practice=_parse_practice(index, item.get("practice")),
		chosen=chosen,
	)


def _refuse_former_names(index: int, item: dict[str, Any]) -> None:
	"""Refuses what earlier systems had in an answer under another name, which would be lost."""
	for name, meant in FORMER_NAMES.items():
		if name in item:
			_refuse_field(index, name, _("is called {0} here").format(meant))


def _parse_question_id(index: int, value: Any) -> str:
	if not _is_text(value, MAX_QUESTION_ID_LENGTH):
		rule = _("must be a text of 1 to {0} characters").format(MAX_QUESTION_ID_LENGTH)
		_refuse_field(index, "question_id", rule, value)
	return value


def _parse_chosen(index: int, value: Any) -> str | None:
	if value is not None and not (_is_text(value, MAX_CHOSEN_LENGTH) and plain_names.is_harmless(value)):
		rule = _("must be the key of an option: 1 to {0} characters, no markup, no formula").format(
			MAX_CHOSEN_LENGTH
		)
		_refuse_field(index, "chosen", rule, value)
	return value


def _parse_quality(index: int, item: dict[str, Any]) -> int:
	if "quality" not in item and isinstance(item.get("is_correct"), bool):
		return QUALITY_RIGHT if item["is_correct"] else QUALITY_WRONG
	if "quality" not in item and "is_correct" in item:
		_refuse_field(index, "is_correct", _("must be true or false"), item["is_correct"])
	quality = item.get("quality")
	if not _is_int(quality) or not 0 <= quality <= 5:
		_refuse_field(index, "quality", _("must be a whole number from 0 to 5"), quality)
	return quality


def _parse_response_time(index: int, value: Any) -> int | None:
	if value is None:
		return None
	if not _is_int(value) or not 0 <= value <= MAX_RESPONSE_TIME_MS:
		rule = _("must be a whole number of milliseconds from 0 to {0}").format(MAX_RESPONSE_TIME_MS)
		_refuse_field(index, "response_time_ms", rule, value)
	return value


def _parse_practice(index: int, value: Any) -> bool:
	if value is not None and not isinstance(value, bool):
		_refuse_field(index, "practice", _("must be true or false"), value)
	return bool(value)


def _is_text(value: Any, max_length: int) -> TypeGuard[str]:
	"""Says whether a value is a text that a database can hold.

	A database holds no NUL and no surrogates. JSON's escapes can write both; a surrogate is one half of a character.
	"""
	if not isinstance(value, str) or not 1 <= len(value) <= max_length:
		return False
	return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_int(value: Any) -> TypeGuard[int]:
	return isinstance(value, int) and not isinstance(value, bool)


def _refuse_field(index: int, field: str, rule: str, *value: Any) -> NoReturn:
	shown = ", " + quoting(_("not {0}"), _shown(value[0])) if value else ""
	_refuse(quoting(_("responses, item {0}, {1}: {2}."), index, field, Markup(rule + shown)))


def _refuse(message: str) -> NoReturn:
	frappe.throw(message, InvalidResponses)


def _shown(value: Any) -> str:
	"""Returns the value as the client wrote it, but short."""
	text = json.dumps(value, default=str, ensure_ascii=False)[:80]
	return text.encode("utf-8", "backslashreplace").decode()
