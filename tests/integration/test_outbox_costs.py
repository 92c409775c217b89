"""What looks at the outbox reads the same few rows, however many submissions wait."""

from collections.abc import Callable
from datetime import timedelta

import frappe
import pytest

from memora.services.folding import folds
from memora.services.operations import doctor, health, write_queue
from memora.services.store import outbox, tables
from tests.integration import factories
from tests.integration.folding import OUTBOX_SQL

READ_SQL = "SHOW SESSION STATUS LIKE 'Handler_read%'"
FEW, MANY = 300, 3000
SOME = 50  # counted by these tests


def fill(season: str, how_many: int, parked: int = 0) -> None:
	"""Submissions of learners of their own; the first of them are parked."""
	now = factories.site_now() - timedelta(hours=1)
	rows = [
		(factories.learner_id(f"waits {n}") + f"{n:016x}", factories.learner_id(f"waits {n}"), season, "{}")
		for n in range(how_many)
	]
	moments = [now + timedelta(milliseconds=n) for n in range(how_many)]
	values = [(*row, moment, moment) for row, moment in zip(rows, moments, strict=True)]
	head, one = OUTBOX_SQL.split("VALUES")
	frappe.db.sql("DELETE FROM `tabReview Outbox`")
	frappe.db.sql(f"{head} VALUES {', '.join([one] * how_many)}", [value for row in values for value in row])
	names = tuple(row[0] for row in rows[:parked]) or ("",)
	frappe.db.sql(
		"UPDATE `tabReview Outbox` SET parked_at = creation, error = 'x' WHERE name IN %s", (names,)
	)
	frappe.db.commit()
	frappe.db.sql("ANALYZE TABLE `tabReview Outbox`")


def rows_read(action: Callable[[], object]) -> int:
	"""Rows that MariaDB reads for what this connection does."""
	action()  # what is read once, such as settings, is known from here on
	before = sum(int(count) for _name, count in frappe.db.sql(READ_SQL))
	action()
	return sum(int(count) for _name, count in frappe.db.sql(READ_SQL)) - before


@pytest.fixture
def some(monkeypatch) -> None:
	"""Counts end at SOME."""
	for name in ("BACKLOG_SQL", "COUNT_OF_SEASON_SQL", "COUNT_PARKED_SQL"):
		text = getattr(outbox, name)
		assert f"LIMIT {outbox.MOST_COUNTED + 1})" in text
		monkeypatch.setattr(outbox, name, text.replace(str(outbox.MOST_COUNTED + 1), str(SOME + 1)))
	monkeypatch.setattr(outbox, "MOST_COUNTED", SOME)


def park_and_unpark() -> None:
	name = outbox.get_oldest(factories.site_now(), 1)[0].name
	folds._park(name, ValueError("no good"))
	assert folds.unpark() == 1


LOOKS = {
	"backlog": outbox.get_backlog,
	"health": health.get_health,
	"doctor": lambda: list(doctor._queue_worked()),
	"season": lambda: outbox.count_of_season(factories.STANDING_SEASON),
	"other season": lambda: outbox.count_of_season("Another"),
	"no row of a season": lambda: tables.season_has_rows("Review Outbox", "Another"),
	"oldest": lambda: outbox.get_oldest(factories.site_now(), 10),
	"oldest of season": lambda: outbox.get_of_season(factories.STANDING_SEASON, 10),
	"list": lambda: write_queue.find_write_jobs(bool, {write_queue.WAITING}, 20, 20),
	"list of parked": lambda: write_queue.find_write_jobs(bool, {write_queue.PARKED}, 0, 20),
	"park and unpark": park_and_unpark,
	"nothing to unpark": folds.unpark,
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_reads_as_many_rows_however_many_wait(season, some, look):
	counts = []
	for waiting in (FEW, MANY):
		fill(season, waiting)
		counts.append(rows_read(LOOKS[look]))
	assert counts[1] <= counts[0] * 1.1 + 5, counts


@pytest.mark.parametrize(
	"look", ["backlog", "oldest", "oldest of season", "season", "list", "list of parked"]
)
def test_a_look_reads_as_many_rows_however_many_are_parked(season, some, look):
	counts = []
	for parked in (FEW, MANY):
		fill(season, parked + 200, parked)
		counts.append(rows_read(LOOKS[look]))
	assert counts[1] <= counts[0] * 1.1 + 5, counts


def test_what_is_not_counted_is_said(season, some):
	fill(season, 2 * SOME + 3, parked=SOME + 2)
	backlog = outbox.get_backlog()
	assert (backlog.waiting, backlog.parked) == (SOME + 1, SOME + 1)
	assert outbox.count_of_season(season) == (SOME + 1, SOME + 1)
	checks = health.get_health()["checks"]
	assert checks["outbox"]["message"].startswith(f"{SOME}+ submissions wait")
	assert checks["parked"]["message"] == f"{SOME}+ submissions are parked."
	assert outbox.count_all() == (SOME + 1, SOME + 2)


def test_unparking_goes_page_by_page(season, monkeypatch):
	monkeypatch.setattr(folds, "FOLD_SUBMISSIONS", 10)
	fill(season, 40, parked=35)
	pages: list[int] = []
	unpark = outbox.unpark
	monkeypatch.setattr(outbox, "unpark", lambda names: pages.append(len(names)) or unpark(names))
	assert folds.unpark() == 35
	assert pages == [10, 10, 10, 5]
	assert outbox.get_backlog().parked == 0


def test_pages_of_a_list_neither_overlap_nor_leave_anything_out(season):
	fill(season, 60, parked=25)
	frappe.db.sql("UPDATE `tabReview Outbox` SET creation = %s", (factories.site_now(),))
	frappe.db.sql("UPDATE `tabReview Outbox` SET parked_at = creation WHERE parked_at IS NOT NULL")
	for parked, expected in ((True, 25), (False, 35)):
		found, place = [], None
		while page := outbox.get_page(parked, 7, place):
			found += [row.name for row in page]
			place = page[-1]
		assert len(found) == len(set(found)) == expected
