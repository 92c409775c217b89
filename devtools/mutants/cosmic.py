"""A program of its own, run by the Python that has cosmic-ray: prints the changes that cosmic-ray knows for files.

    python cosmic.py FILE...

A line of the output is JSON: {"path", "kind", "start", "end", "new"}. Bytes `start` to `end` of the file become `new`.
"""

import json
import os
import re
import sys
from collections.abc import Iterator

import parso
from cosmic_ray.ast import ast_nodes
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

# One change of each kind that a careless person may make, not every one that is possible
OPERATORS = [
	*(f"ReplaceComparisonOperator_{change}" for change in ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt")),
	*(f"ReplaceComparisonOperator_{change}" for change in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
	*(f"ReplaceBinaryOperator_{change}" for change in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul")),
	*(
		f"ReplaceBinaryOperator_{change}"
		for change in ("FloorDiv_Div", "Mod_Mul", "BitOr_BitAnd", "BitAnd_BitOr")
	),
	*("ReplaceUnaryOperator_USub_UAdd", "ReplaceUnaryOperator_Delete_Not", "AddNot"),
	*("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
	*("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop"),
	*("NumberReplacer", "RemoveDecorator"),
]
# Without these nothing can be imported, so nobody is careless about them
NEEDED = re.compile(
	rb"@(property|dataclass|contextmanager|classmethod|staticmethod|overload|lru_cache|cached_property)"
)


def changes(path: str) -> Iterator[dict[str, object]]:
	with open(path, "rb") as file:
		source = file.read()
	nodes = list(ast_nodes(parso.parse(source.decode())))
	for name in OPERATORS:
		operator = get_operator(f"core/{name}")()
		for occurrence in range(sum(len(list(operator.mutation_positions(node))) for node in nodes)):
			changed = mutate_code(source.decode(), operator, occurrence)
			start, end, new = _difference(source, changed.encode())
			if not (name == "RemoveDecorator" and NEEDED.search(source[start:end])):
				yield {"path": path, "kind": name, "start": start, "end": end, "new": new}


def _difference(old: bytes, new: bytes) -> tuple[int, int, str]:
	"""Returns (start, end, text) such that old[start:end] becomes the text; never within a character."""
	start = len(os.path.commonprefix([old, new]))
	rest = len(os.path.commonprefix([old[start:][::-1], new[start:][::-1]]))
	return start, len(old) - rest, new[start : len(new) - rest].decode()


if __name__ == "__main__":
	for named in sys.argv[1:]:
		for change in changes(named):
			print(json.dumps(change))
