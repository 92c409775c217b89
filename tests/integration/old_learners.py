"""Makes rows, keys and jobs what they were before learners had ids: a learner was the name of her User.

The code that wrote them is gone. So learners answer by the present code first, and then `age` turns what it wrote back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import frappe

from memora.patches.v1_1 import give_learners_ids
from memora.services.store import old_learners
from memora.services.store.records import RECORD_FIELDS
from memora.services.store.row_names import digest
from tests.integration import cleaning
from tests.integration.factories import Learner

TABLES = (
	"tabPlayer Memory Tracker",
	"tabPlayer Review Log",
	"tabArchived Memory Tracker",
	"tabReview Outbox",
)
# Of two records of a question a fold kept the newer one, and left the player as it was.
FOLD_SQL = """
	UPDATE `{0}` kept JOIN `{0}` late ON kept.name = CONCAT(%(old)s, SUBSTRING(late.name, 17)) AND kept.season = late.season
	SET {1} WHERE late.name LIKE %(like)s AND late.reps >= kept.reps"""
SET = ", ".join(f"kept.{column} = late.{column}" for column in RECORD_FIELDS)


def key_then(learner: Learner, key: str) -> str:
	"""Returns the name that a row had then."""
	return digest(learner.user) + key[16:]


def age(*learners: Learner) -> None:
	"""Turns all that these learners have back. They have no ids afterwards."""
	frappe.db.commit()
	for learner in learners:
		_age_rows(learner.name, learner.user)
		_age_keys(learner.name, learner.user)
		frappe.db.delete("Memora Learner", {"name": learner.name})
	frappe.db.commit()


def _age_rows(learner: str, user: str) -> None:
	values = {"old": digest(user), "user": user, "like": f"{learner}%", "learner": learner}
	for table in [*TABLES, *(t for (t,) in frappe.db.sql("SHOW TABLES LIKE 'srs\\_staging\\_%%'", ()))]:
		frappe.db.sql(
			f"UPDATE IGNORE `{table}` SET name = CONCAT(%(old)s, SUBSTRING(name, 17)), player = %(user)s "
			"WHERE name LIKE %(like)s",
			values,
		)
		if learner != digest(user):
			if "Tracker" in table:
				frappe.db.sql(FOLD_SQL.format(table, SET), values)
			frappe.db.sql(f"DELETE FROM `{table}` WHERE name LIKE %(like)s", values)
	frappe.db.sql(
		"UPDATE IGNORE `tabDaily Learner` SET name = CONCAT(LEFT(name, 24), %(old)s), player = %(user)s "
		"WHERE player = %(learner)s",
		values,
	)
	frappe.db.sql("DELETE FROM `tabDaily Learner` WHERE player = %(learner)s", values)
	frappe.db.sql("UPDATE `tabAnki Import` SET learner = %(user)s WHERE learner = %(learner)s", values)


def _age_keys(learner: str, user: str) -> None:
	redis, old = cleaning.srs_redis(), quote(user, safe="@+")
	for key in cleaning.srs_keys(f"*srs:{learner}:*"):
		content = redis.dump(key)
		redis.restore(key.replace(f"srs:{learner}:", f"srs:{old}:"), 0, content, replace=True)
		redis.delete(key)


def rename(user: str, new: str) -> None:
	"""What Frappe does with links to a User who is renamed."""
	for table in (*TABLES, "tabDaily Learner"):
		frappe.db.sql(f"UPDATE `{table}` SET player = %s WHERE player = %s", (new, user))
	frappe.db.commit()


@contextmanager
def before_patch() -> Iterator[None]:
	"""A site on which the patch has not run. Afterwards it has."""
	frappe.db.delete("Patch Log", {"patch": old_learners.PATCH})
	frappe.db.commit()
	try:
		yield
	finally:
		frappe.db.rollback()
		frappe.db.sql_ddl(f"DROP TABLE IF EXISTS {old_learners.POSITIONS}")
		frappe.get_doc({"doctype": "Patch Log", "patch": old_learners.PATCH}).insert(ignore_if_duplicate=True)
		frappe.db.commit()


def run_patch() -> None:
	"""Runs the patch and commits, as Frappe's patch handler does."""
	give_learners_ids.execute()
	frappe.db.commit()


def unconverted() -> dict[str, int]:
	"""Returns {table: how many of its rows have a player who is not the id in their name}."""
	frappe.db.rollback()
	wrong = {t: "LEFT(name, 16)" for t in TABLES} | {"tabDaily Learner": "RIGHT(name, 16)"}
	counts = {
		table: frappe.db.sql(f"SELECT COUNT(*) FROM `{table}` WHERE NOT BINARY player <=> BINARY {of_name}")[
			0
		][0]
		for table, of_name in wrong.items()
	}
	return {table: count for table, count in counts.items() if count}
