"""All digits of stored memories stay, whatever a site or an earlier release says of their precision."""

from collections.abc import Iterator

import frappe
import pytest
from frappe.custom.doctype.property_setter.property_setter import make_property_setter

from memora.services.operations import doctor
from memora.services.store import database, digits, layout, tables
from tests.integration import state
from tests.integration.factories import make_records
from tests.integration.old_tables import create_statement, migrate
from tests.integration.submitting import answers, submit

TRACKER, OTHER = "Player Memory Tracker", "Game Question"
STATES = {
	TRACKER: ["stability", "difficulty"],
	"Player Review Log": [
		"stability_before",
		"difficulty_before",
		"predicted_recall",
		"stability_after",
		"difficulty_after",
	],
	"Archived Memory Tracker": ["stability", "difficulty"],
}
NARROW = "ALTER TABLE `tab{}` MODIFY `{}` decimal(21,4) NOT NULL DEFAULT 0"
DECIMALS_SQL = """
	SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS
	WHERE TABLE_SCHEMA = DATABASE() AND DATA_TYPE IN ('decimal', 'float', 'double') AND TABLE_NAME IN %s"""
SETTERS = {"doc_type": ["in", list(STATES)], "property": ["in", ["precision", "length", "label"]]}


@pytest.fixture(autouse=True)
def without_customizations() -> Iterator[None]:
	yield
	frappe.db.rollback()
	frappe.db.delete("Property Setter", {**SETTERS, "doc_type": ["in", [*STATES, OTHER]]})
	frappe.db.set_value(
		"DocField", {"parent": ["in", [*STATES, OTHER]]}, "precision", "", update_modified=False
	)
	frappe.db.commit()
	for doctype in (*STATES, OTHER):
		frappe.clear_cache(doctype=doctype)
	layout.ensure_layout()


def customize(field: str, prop: str, value: str, doctype: str = TRACKER) -> None:
	"""Writes a customization as one is stored that was made before Memora refused it."""
	values = {"doc_type": doctype, "field_name": field, "property": prop, "value": value}
	setter = frappe.get_doc({"doctype": "Property Setter", "doctype_or_field": "DocField", **values})
	setter.set_new_name()
	setter.db_insert()
	frappe.db.commit()
	frappe.clear_cache(doctype=doctype)


def declare(precision: str) -> None:
	"""Has the site's DocTypes say what those of an earlier release said."""
	for doctype, fields in STATES.items():
		ours = {"parent": doctype, "fieldname": ["in", fields]}
		frappe.db.set_value("DocField", ours, "precision", precision, update_modified=False)
	frappe.db.commit()


def precisions(doctype: str) -> set[str | None]:
	frappe.clear_cache(doctype=doctype)
	return {frappe.get_meta(doctype).get_field(name).precision for name in STATES[doctype]}


def found() -> list[doctor.Finding]:
	frappe.db.rollback()
	return [finding for finding in doctor.examine() if finding.check == "digits"]


def stored() -> tuple[tuple[str, ...], ...]:
	"""The memories as text, with every digit."""
	return database.query(
		f"SELECT name, CONCAT(stability), CONCAT(difficulty) FROM `tab{TRACKER}` ORDER BY name"
	)


def test_every_column_with_a_point_keeps_nine_digits(site):
	names = frappe.get_all("DocType", {"module": "Memora", "issingle": 0, "is_virtual": 0}, pluck="name")
	types = {
		(table, column): kind
		for table, column, kind in database.query(DECIMALS_SQL, ([f"tab{n}" for n in names],))
	}
	assert set(types.values()) == {digits.DECIMAL}
	assert types.keys() >= {
		(f"tab{doctype}", field) for doctype, fields in STATES.items() for field in fields
	}


@pytest.mark.parametrize("doctype", tables.INDEXES)
def test_the_fields_that_are_watched(doctype):
	assert digits.decimal_fields(doctype) == STATES[doctype]


def test_nine_digits_come_back(player):
	make_records(player, 1, stability=2.123456789, difficulty=4.987654321)
	assert [row[1:] for row in stored()] == [("2.123456789", "4.987654321")]


@pytest.mark.parametrize("doctype", tables.INDEXES)
def test_an_earlier_releases_precision_is_forgotten_before_a_migration(doctype, player):
	make_records(player, 3, stability=2.123456789)
	before = (stored(), create_statement(f"tab{doctype}"))
	declare("4")
	assert precisions(doctype) == {"4"}
	digits.forget_precision()
	assert precisions(doctype) == {""}
	frappe.db.updatedb(doctype)  # as Frappe does with every DocType that has changed
	assert (stored(), create_statement(f"tab{doctype}")) == before


@pytest.mark.parametrize("size", [("precision", "0"), ("precision", "2"), ("length", "12")])
def test_a_customization_is_deleted_before_a_migration(size, player, capsys):
	make_records(player, 3, stability=2.123456789)
	before = (stored(), create_statement(f"tab{TRACKER}"))
	customize("stability", *size)
	customize("stability", "label", "Strength")
	(finding,) = found()
	assert f"{TRACKER}-stability-{size[0]}" in finding.problem
	digits.forget_precision()
	assert f"{TRACKER}-stability-{size[0]}" in capsys.readouterr().out
	frappe.db.updatedb(TRACKER)
	assert (stored(), create_statement(f"tab{TRACKER}")) == before
	assert frappe.get_all("Property Setter", SETTERS, pluck="property") == ["label"]
	assert found() == []


def test_only_what_would_round_our_columns_is_taken_away():
	customize("stability", "precision", "4")
	customize("difficulty", "precision", "")
	customize("stability", "label", "Strength")
	customize("reps", "length", "8")
	customize("stability", "precision", "4", doctype=OTHER)
	others_field = {"parent": OTHER, "fieldname": "position"}
	frappe.db.set_value("DocField", others_field, "precision", "3", update_modified=False)
	declare("4")
	assert "4" in precisions(TRACKER)
	assert digits.find_setters(TRACKER) == [f"{TRACKER}-stability-precision"]
	digits.forget_precision()
	assert (
		frappe.get_meta(TRACKER).get_field("stability").precision == ""
	)  # also in what Frappe keeps in memory
	left = frappe.get_all("Property Setter", {**SETTERS, "doc_type": ["in", [TRACKER, OTHER]]}, ["name"])
	assert len(left) == 4
	assert frappe.db.get_value("DocField", others_field, "precision") == "3"


@pytest.mark.parametrize("value", ["0", "4"])
def test_customize_form_takes_no_precision(value):
	form = frappe.new_doc("Customize Form")
	form.doc_type = TRACKER
	form.fetch_to_customize()
	field = next(field for field in form.fields if field.fieldname == "stability")
	field.precision = value
	with pytest.raises(frappe.ValidationError, match=f"stability in {TRACKER}"):
		form.save_customization()
	assert frappe.get_all("Property Setter", SETTERS) == []


def test_other_customizations_are_taken():
	make_property_setter(TRACKER, "stability", "label", "Strength", "Data")
	make_property_setter(TRACKER, "reps", "length", "8", "Int")
	make_property_setter(TRACKER, "stability", "precision", "", "Select")
	assert frappe.get_all("Property Setter", SETTERS, pluck="field_name", order_by="name")


@pytest.mark.parametrize(
	("doctype", "field"), [(d, field) for d, fields in STATES.items() for field in fields]
)
def test_a_column_that_rounds_is_named_and_widened(doctype, field):
	frappe.db.sql_ddl(NARROW.format(doctype, field))
	(finding,) = found()
	assert f"{field} of {doctype} is decimal(21,4)" in finding.problem
	assert "migrate" in finding.mend
	layout.ensure_layout()  # as migrate does
	assert found() == []


def test_a_migration_brings_a_site_that_rounds_into_order(player, season):
	make_records(player, 5, stability=2.1235)
	submit(player, answers(2))
	layouts = {doctype: create_statement(f"tab{doctype}") for doctype in STATES}
	for doctype in STATES:
		for field in STATES[doctype]:
			frappe.db.sql_ddl(NARROW.format(doctype, field))
		frappe.db.sql_ddl(
			f"ALTER TABLE `tab{doctype}` ADD INDEX creation (creation), ADD INDEX modified (modified)"
		)
	before = (state.tracker(player), state.journal(player), state.outbox(player))
	declare("4")
	customize("stability", "precision", "2")
	migrate()
	assert {doctype: create_statement(f"tab{doctype}") for doctype in STATES} == layouts
	assert (state.tracker(player), state.journal(player), state.outbox(player)) == before
	assert [precisions(doctype) for doctype in STATES] == [{""}] * 3
