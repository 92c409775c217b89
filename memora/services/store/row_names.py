"""The names (primary keys) of rows. Each begins with a hash of the learner, so that one learner's rows are neighbours."""

from hashlib import blake2b
from typing import Any

KEY_BYTES = 8  # of each hash in a name: learners of one site do not collide before billions of them
NAME_LENGTH = 6 * KEY_BYTES  # hex digits of a journal row's name, the longest


def digest(*parts: str) -> str:
	"""16 hex digits that stand for these texts."""
	return blake2b("\0".join(parts).encode(), digest_size=KEY_BYTES).hexdigest()


def tracker_name(learner: str, season: str, question_id: str) -> str:
	"""The primary key of a tracker row: one learner's rows are neighbours on disk."""
	return digest(learner) + digest(season, question_id)


def submission_key(learner: str, season: str, submission_id: str) -> str:
	"""The name of a submission's outbox row, and how the names of its journal rows begin."""
	return digest(learner) + digest(season, submission_id)


def is_of_learner(key: str, learner: str) -> bool:
	"""Whether a submission key is one of this learner's."""
	return key.startswith(digest(learner))


def journal_name(learner: str, season: str, submission_id: str, question_id: str) -> str:
	return submission_key(learner, season, submission_id) + digest(question_id)


def names_of_learner(learner: str) -> tuple[str, str]:
	"""Bounds of the names of all her rows, in each of the three tables."""
	first, last = bounds(digest(learner)).values()
	return first, last


def bounds(prefix: str) -> dict[str, str]:
	"""Bounds of the names that begin with a prefix of hex digits."""
	return {"first": prefix, "last": prefix + "g"}


def where_learner(doctype: str, learner: str) -> str:
	"""Returns the SQL condition that selects a learner's rows in the list of one of the three tables."""
	first, last = names_of_learner(learner)
	return f"`tab{doctype}`.name BETWEEN '{first}' AND '{last}'"


def of_learner(learner: str, season: str, **more: Any) -> dict[str, Any]:
	"""Returns the values that statements on one learner's rows of a season bind."""
	return {"player": learner, "season": season, **bounds(digest(learner)), **more}


def shares(how_many: int) -> list[dict[str, str]]:
	"""Bounds that part the names, and with them the learners, into so many shares of about the same size."""
	bounds = [f"{(number << 64) // how_many:016x}" for number in range(how_many)]
	return [{"first": a, "last": b} for a, b in zip(bounds, [*bounds[1:], "g"], strict=True)]
