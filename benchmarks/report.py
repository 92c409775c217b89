"""Tables, percentiles and numbers for people to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil


def table(rows: Sequence[Sequence[str]]) -> str:
	"""Aligns rows of equal length as a table. The first row is the head; the first column is text, the others are numbers."""
	widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
	lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
	return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def percentile(values: Sequence[float], share: float) -> float:
	"""Returns the smallest value that is at least as large as this share (0 to 1) of all values. It is one of the values."""
	ordered = sorted(values)
	return ordered[max(1, ceil(share * len(ordered))) - 1]


def number(value: float, decimals: int = 0) -> str:
	return f"{value:,.{decimals}f}"


@dataclass(frozen=True)
class Section:
	"""The result of one section of ./dev perf: figures, whose names do not change, and a table for people."""

	figures: dict[str, float]
	text: str
