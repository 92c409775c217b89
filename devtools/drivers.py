"""Chooses the driver by which Frappe speaks to MariaDB: Frappe's own choice, unless MEMORA_DRIVER names another.

Frappe 15 has PyMySQL alone. Frappe 16 takes mysqlclient, which is compiled on the machine, unless the configuration
has `use_mysqlclient: 0`.
"""

import os

from devtools.paths import Bench
from devtools.report import Failure

MYSQLCLIENT, PYMYSQL = "mysqlclient", "pymysql"


def chosen(bench: Bench) -> str:
	"""Returns the name of the bench's driver: of MEMORA_DRIVER, else that of the last installation, else Frappe's choice."""
	possible = (MYSQLCLIENT, PYMYSQL) if has_choice(bench) else (PYMYSQL,)
	named = os.environ.get("MEMORA_DRIVER")
	if named and named not in possible:
		raise Failure(f"MEMORA_DRIVER={named}: with this Frappe it may be {' or '.join(possible)}")
	return named or _installed(bench) or possible[0]


def setting(bench: Bench) -> dict[str, int]:
	"""Returns what the common site configuration tells Frappe of the driver: nothing, if this Frappe has no choice."""
	return {"use_mysqlclient": int(chosen(bench) == MYSQLCLIENT)} if has_choice(bench) else {}


def why(bench: Bench) -> str:
	"""Returns why this driver was chosen."""
	if os.environ.get("MEMORA_DRIVER"):
		return "MEMORA_DRIVER names it"
	return "it was installed before" if _installed(bench) else "this Frappe takes it by default"


def has_choice(bench: Bench) -> bool:
	"""Says whether the bench's Frappe has both drivers. Frappe must have been fetched."""
	return (bench.frappe / "frappe" / "database" / "mariadb" / "mysqlclient.py").is_file()


def _installed(bench: Bench) -> str:
	stamp = bench.env / ".memora-driver"
	return stamp.read_text() if stamp.is_file() else ""


def write_installed(bench: Bench, driver: str) -> None:
	"""Keeps the name of the driver that was installed, for the commands to come."""
	(bench.env / ".memora-driver").write_text(driver)
