"""Figures as a person reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil


def table(rows: Sequence[Sequence[str]]) -> str:
	"""Rows of equal length, the first one a head, as aligned columns: text to the left, numbers right."""
	widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
	lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
	return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def percentile(values: Sequence[float], share: float) -> float:
	"""The smallest value that at least this share (0 to 1) of all reaches: an observed one, no mean."""
	ordered = sorted(values)
	return ordered[max(1, ceil(share * len(ordered))) - 1]


def number(value: float, decimals: int = 0) -> str:
	return f"{value:,.{decimals}f}"


@dataclass(frozen=True)
class Section:
	"""What one section of ./dev perf found: figures by names that stay, and the same for people."""

	figures: dict[str, float]
	text: str
