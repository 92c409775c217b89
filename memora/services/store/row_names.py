"""The names (primary keys) of rows.

A name begins with the learner's id: her rows are neighbours on disk.
"""

import re
from hashlib import blake2b
from typing import Any

LEARNER_ID = re.compile(r"[0-9a-f]{16}")
KEY_BYTES = 8  # of a learner's id, and of each hash in a name: no two collide before there are billions
NAME_LENGTH = 6 * KEY_BYTES  # hex digits of a journal row's name, the longest name


def digest(*parts: str) -> str:
	"""Returns 16 hex digits that stand for these texts."""
	return blake2b("\0".join(parts).encode(), digest_size=KEY_BYTES).hexdigest()


def is_learner_id(text: object) -> bool:
	"""Says whether a value has the form of a learner's id, which no e-mail address has."""
	return isinstance(text, str) and bool(LEARNER_ID.fullmatch(text))


def tracker_name(learner: str, season: str, question_id: str) -> str:
	"""Returns the primary key of a tracker row."""
	return _checked(learner) + digest(season, question_id)


def submission_key(learner: str, season: str, submission_id: str) -> str:
	"""Returns a submission's key: its outbox row's name, and the beginning of its journal rows' names."""
	return _checked(learner) + digest(season, submission_id)


def learner_of(name: str) -> str:
	"""Returns the id of the learner whose row has this name."""
	return name[: 2 * KEY_BYTES]


def schedule_name(learner: str, season: str) -> str:
	"""Returns the name of the note that a learner's schedule is outdated."""
	return _checked(learner) + digest(season)


def is_of_learner(key: str, learner: str) -> bool:
	"""Says whether a submission's key belongs to this learner."""
	return bool(learner) and key.startswith(learner)


def journal_name(learner: str, season: str, submission_id: str, question_id: str) -> str:
	return submission_key(learner, season, submission_id) + digest(question_id)


def key_of_entry(name: str) -> str:
	"""Returns the key of the submission that a journal row belongs to."""
	return name[: 4 * KEY_BYTES]


def names_of_learner(learner: str) -> tuple[str, str]:
	"""Returns (first, last): the bounds of the names of all rows of a learner, in every table of answers."""
	first, last = bounds(_checked(learner)).values()
	return first, last


def bounds(prefix: str) -> dict[str, str]:
	"""Returns the bounds of the names that begin with a prefix of hex digits; "g" follows all hex digits."""
	return {"first": prefix, "last": prefix + "g"}


def where_learner(doctype: str, learner: str) -> str:
	"""Returns the SQL condition that selects a learner's rows in the list of one of the three tables."""
	first, last = names_of_learner(learner)
	return f"`tab{doctype}`.name BETWEEN '{first}' AND '{last}'"


def of_learner(learner: str, season: str, **more: Any) -> dict[str, Any]:
	"""Returns the values that a statement on one learner's rows of a season binds."""
	return {"player": learner, "season": season, **bounds(_checked(learner)), **more}


def _checked(learner: str) -> str:
	"""Returns a learner's id. Anything else would begin other learners' names, too, or nobody's: ValueError."""
	if not is_learner_id(learner):
		raise ValueError(f"{learner!r} is no learner's id, which has 16 hex digits")
	return learner


def shares(how_many: int) -> list[dict[str, str]]:
	"""Returns bounds that part the names, and so the learners, into `how_many` shares of about equal size."""
	bounds = [f"{(number << 64) // how_many:016x}" for number in range(how_many)]
	return [{"first": a, "last": b} for a, b in zip(bounds, [*bounds[1:], "g"], strict=True)]
