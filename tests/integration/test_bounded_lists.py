"""Lists of the big tables, as the desk asks for them: what they may read."""

import json
from contextlib import contextmanager

import frappe
import pytest
from frappe.desk import listview, reportview
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from memora.exceptions import UnboundedList
from memora.memora import bounded_lists
from memora.services.store import row_names
from tests.integration.client import Client, message
from tests.integration.factories import make_learner, make_records
from tests.integration.handlers import rows_read

TRACKER, JOURNAL, ARCHIVE = DOCTYPES = (
	"Player Memory Tracker",
	"Player Review Log",
	"Archived Memory Tracker",
)
HOW_MANY = 120  # rows of each learner
LEARNERS = 6
PAGE = 20
OTHER_READS = 40  # Frappe's own, of permissions and the like, and a lookup in each partition


@pytest.fixture
def tables(season) -> list[str]:
	"""Puts rows of some learners into each of the three tables, and returns the learners."""
	players = [make_learner().name for _ in range(LEARNERS)]
	ids = [f"q-{number:03}" for number in range(HOW_MANY)]
	for player in players:
		make_records(player, question_ids=ids)
	frappe.db.sql(
		f"""INSERT INTO `tabPlayer Review Log` (name, player, season, question_id, submission_id)
		SELECT CONCAT(name, LEFT(MD5(name), 16)), player, season, question_id, 's-1' FROM `tab{TRACKER}`"""
	)
	frappe.db.sql(
		f"""INSERT INTO `tab{ARCHIVE}` (name, player, season, question_id, next_review_date)
		SELECT name, player, season, question_id, next_review_date FROM `tab{TRACKER}`"""
	)
	frappe.db.commit()
	for doctype in DOCTYPES:
		frappe.db.sql(f"ANALYZE TABLE `tab{doctype}`")
	return players


@contextmanager
def request(method: str, **arguments):
	"""Makes the block's calls look like those of a request from the desk."""
	frappe.local.request = Request(EnvironBuilder(path=f"/api/method/{method}").get_environ())
	frappe.local.form_dict = frappe._dict(arguments)
	try:
		yield
	finally:
		frappe.local.form_dict = frappe._dict()
		del frappe.local.request


def ask(doctype: str, filters=(), order_by: str = "name", **more) -> list:
	"""Returns the rows that a list of the desk gets."""
	fields = [f"`tab{doctype}`.`{field}`" for field in ("name", "player", "season", "question_id")]
	arguments = {
		"doctype": doctype,
		"fields": json.dumps(fields),
		"filters": json.dumps([[doctype, *f] for f in filters]),
		"order_by": f"`tab{doctype}`.`{order_by}` asc",
		"start": "0",
		"page_length": str(PAGE),
		"view": "List",
		**more,
	}
	with request("frappe.desk.reportview.get", **arguments):
		found = reportview.get()
	return found["values"] if found else []  # Frappe answers with an empty list where there is nothing


@pytest.fixture
def large(monkeypatch) -> None:
	monkeypatch.setattr(bounded_lists, "SMALL_ROWS", 0)


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_a_list_reads_a_page(tables, large, doctype, season):
	ask(doctype)
	for filters in ([], [("season", "=", season)]):
		with rows_read() as read:
			assert len(ask(doctype, filters)) == PAGE
		assert read.rows <= PAGE + OTHER_READS


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_a_list_of_a_learner_reads_her_rows(tables, large, doctype, season):
	filters = [("player", "=", tables[3])]
	ask(doctype, filters)
	for more, count in (
		([], PAGE),
		([("season", "=", season)], PAGE),
		([("question_id", "like", "%17%")], 2),
		([("question_id", "=", "q-119"), ("season", "=", season)], 1),
	):
		with rows_read() as read:
			found = ask(doctype, filters + more)
		assert [row[1] for row in found] == [tables[3]] * count
		assert read.rows <= HOW_MANY + OTHER_READS


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_a_learner_s_rows_may_be_sorted_and_counted(tables, large, doctype):
	filters = [("player", "=", tables[0])]
	assert len(ask(doctype, filters, order_by="question_id")) == PAGE
	arguments = {"doctype": doctype, "filters": json.dumps([[doctype, *filters[0]]]), "fields": "[]"}
	with request("frappe.desk.reportview.get_count", **arguments):
		assert reportview.get_count() == HOW_MANY


def test_a_learner_is_found_by_her_address_too(tables):
	user = frappe.db.get_value("Memora Learner", tables[0], "user")
	assert bounded_lists.where_player(TRACKER, user.upper()) == bounded_lists.where_player(TRACKER, tables[0])


def test_nobody_has_no_rows(tables):
	assert ask(TRACKER, [("player", "=", "nobody@learners.example")]) == []
	assert ask(TRACKER, [("player", "=", "' OR 1 --")]) == []


def test_a_learner_whose_user_is_gone_is_found(tables):
	frappe.db.delete("User", {"name": tables[0]})
	assert len(ask(ARCHIVE, [("player", "=", tables[0])])) == PAGE


def test_a_list_that_would_read_everything_is_refused(tables, large, season):
	for filters, order_by, more in (
		([("question_id", "=", "q-001")], "name", {}),
		([("question_id", "like", "%q%"), ("season", "=", season)], "name", {}),
		([("player", "like", "%a%")], "name", {}),
		([("stability", ">", 3)], "name", {}),
		([], "modified", {}),
		([], "next_review_date", {}),
		([], "name", {"group_by": f"`tab{TRACKER}`.`season`"}),
	):
		with pytest.raises(UnboundedList, match="Choose a learner"):
			ask(TRACKER, filters, order_by, **more)


def test_counts_of_everything_are_refused(tables, large):
	with request("frappe.desk.reportview.get_count", doctype=TRACKER, filters="[]", fields="[]"):
		with pytest.raises(UnboundedList):
			reportview.get_count()
	with request(
		"frappe.desk.listview.get_group_by_count", doctype=TRACKER, current_filters="[]", field="owner"
	):
		with pytest.raises(UnboundedList):
			listview.get_group_by_count(TRACKER, "[]", "owner")


def test_small_tables_may_be_read_as_one_likes(tables):
	assert len(ask(TRACKER, [("question_id", "=", "q-001")], "next_review_date")) == LEARNERS


def test_what_the_app_asks_for_itself_is_not_bounded(tables, large):
	assert len(frappe.get_list(TRACKER, filters={"question_id": "q-001"})) == LEARNERS


def test_over_http_a_list_is_of_the_learner_asked_for(web, tables):
	manager = Client(web.url, make_learner(["Memora Manager"]).token)
	filters = json.dumps([[TRACKER, "player", "=", tables[1]]])
	fields = '["name", "player"]'
	found = message(
		manager.get("frappe.desk.reportview.get", doctype=TRACKER, fields=fields, filters=filters)
	)
	assert {row[1] for row in found["values"]} == {tables[1]}


def test_names_of_a_player_are_those_of_all_her_rows(player, season):
	first, last = row_names.names_of_learner(player)
	for name in (
		row_names.tracker_name(player, season, "q"),
		row_names.journal_name(player, season, "s", "q"),
	):
		assert first < name < last
