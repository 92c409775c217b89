"""Asks osv.dev for known vulnerabilities of what memora requires, in the versions that this Python's environment has.

This is a separate program without imports of devtools, because another environment's Python runs it. Exits with 1 and
prints the vulnerabilities if there are any. Exits with 75 and prints why if osv.dev could not be asked.
"""

import json
import re
import sys
from importlib import metadata
from pathlib import Path
from urllib.request import Request, urlopen

URL = "https://api.osv.dev/v1/querybatch"
SECONDS = 10
EX_TEMPFAIL = 75  # of sysexits.h
NOT_ASKED = (OSError, ValueError, KeyError)  # there was no answer, or it can't be read
DEPENDENCIES = re.compile(r"^dependencies = \[(.*?)^\]", re.DOTALL | re.MULTILINE)
NAME = re.compile(r"[\w.-]+")


def required(pyproject: str) -> dict[str, str]:
	"""Returns {package: version} for all that a project requires, directly or not. (Python 3.10 has no tomllib.)"""
	(listed,) = DEPENDENCIES.findall(pyproject)
	waiting = re.findall(r'^\s*"([\w.-]+)', listed, re.MULTILINE)
	found: dict[str, str] = {}
	while waiting:
		name = waiting.pop()
		if name in found:
			continue
		try:
			distribution = metadata.distribution(name)
		except metadata.PackageNotFoundError:
			continue  # required only by an extra, or by other Pythons
		found[name] = distribution.version
		waiting += [NAME.findall(requirement)[0] for requirement in distribution.requires or ()]
	return found


def ask(versions: dict[str, str], url: str = URL) -> list[str]:
	"""Returns a line for each known vulnerability. Raises one of NOT_ASKED if osv.dev could not be asked."""
	queries = [
		{"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
		for name, version in versions.items()
	]
	body = json.dumps({"queries": queries}).encode()
	with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=SECONDS) as reply:
		results = json.load(reply)["results"]
	return [
		f"{name} {version}: https://osv.dev/{known['id']}"
		for (name, version), result in zip(versions.items(), results, strict=True)
		for known in result.get("vulns", ())
	]


def main(pyproject: str) -> int:
	try:
		found = ask(required(Path(pyproject).read_text()))
	except NOT_ASKED as error:
		print(f"osv.dev could not be asked ({error})")
		return EX_TEMPFAIL
	print("\n".join(found))
	return 1 if found else 0


if __name__ == "__main__":
	sys.exit(main(sys.argv[1]))
