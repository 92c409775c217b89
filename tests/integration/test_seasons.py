"""The rules of DESIGN §2: each is refused, and nothing has changed then."""

from contextlib import suppress

import frappe
import pytest
from frappe.utils import add_days, getdate

from memora.api.utils import get_active_season
from memora.exceptions import InvalidSeason, NoActiveSeason, SeasonStateError, UnknownSeason
from memora.services.cache import rebuild, reconciliation
from memora.services.store import database, ddl, partitions, seasons, swap, tables, tracker
from tests.integration import state
from tests.integration.connections import at_once, raw_connection
from tests.integration.factories import make_records, make_season

DOCTYPE = "Game Subscription Season"


def names() -> set[str]:
	return {row.name for row in state.rows(DOCTYPE)}


def test_a_new_season_has_its_partitions_and_the_defaults(season):
	made = make_season(season_name="2024-2025")
	made.reload()
	assert made.name == "2024-2025"
	assert (made.partition_created, made.enable_redis, made.is_active, made.auto_archive) == (1, 1, 0, 0)
	assert partitions.has_partitions("2024-2025")
	assert names() == {season, "2024-2025"}


def test_the_timeline_of_a_season_tells_only_of_changes_that_were_made():
	made = make_season(season_name=frappe.generate_hash())  # versions outlive a season, and a run
	assert versions(made.name) == []
	made.reload()
	made.update({"end_date": add_days(made.end_date, 1)}).save()
	(changes,) = versions(made.name)
	assert [field for field, _before, _after in changes["changed"]] == ["end_date"]


def versions(season: str) -> list[dict]:
	"""Returns the entries of the form's timeline, oldest first."""
	filters = {"ref_doctype": DOCTYPE, "docname": season}
	rows = frappe.get_all("Version", filters, pluck="data", order_by="creation")
	return [frappe.parse_json(data) for data in rows]


@pytest.mark.parametrize("name", ["2024-2025", "SEASON-2027", "موسم ٢٠٢٥", "it's", "a: b {c} *"])
def test_ordinary_and_odd_names(name):
	assert make_season(season_name=name).name == name


@pytest.mark.parametrize(
	("given", "name"), [("  Spring \t 2026 ", "Spring 2026"), ("Cafe\u0301 1", "Caf\u00e9 1")]
)
def test_names_are_made_canonical(given, name):
	made = make_season(season_name=given)
	assert (made.name, made.season_name) == (name, name)
	assert partitions.has_partitions(name)


@pytest.mark.parametrize("name", ["", "   ", None])
def test_a_season_needs_a_name(name):
	before = names()
	with pytest.raises(frappe.ValidationError):
		make_season(season_name=name)
	assert names() == before


@pytest.mark.parametrize("other", ["autumn", "AUTUMN", " Autumn ", "Aútumn"])
def test_names_that_the_collation_takes_for_one_clash(other):
	make_season(season_name="Autumn")
	before = names()
	with pytest.raises(frappe.DuplicateEntryError):
		make_season(season_name=other)
	frappe.db.rollback()
	assert names() == before


def test_a_season_can_not_be_renamed():
	made = make_season(season_name="before")
	with pytest.raises(frappe.ValidationError):
		frappe.rename_doc(DOCTYPE, "before", "after", force=False)
	frappe.db.rollback()
	with suppress(frappe.ValidationError):  # an older Frappe refuses, a newer one puts the name back
		made.update({"season_name": "after"}).save()
	frappe.db.commit()
	made.reload()
	assert (made.name, made.season_name) == ("before", "before")
	assert "after" not in names()


def test_a_season_may_last_one_day():
	assert make_season(start_date="2026-05-01", end_date="2026-05-01").name in names()


def test_a_season_can_not_end_before_it_starts():
	before = names()
	with pytest.raises(InvalidSeason, match="2026-04-30"):
		make_season(start_date="2026-05-01", end_date="2026-04-30")
	assert names() == before


def test_one_season_is_active_at_most(season):
	with pytest.raises(SeasonStateError, match=season):
		make_season(season_name="second", is_active=1)
	frappe.db.rollback()
	assert "second" not in names()
	other = make_season(season_name="second")
	other.is_active = 1
	with pytest.raises(SeasonStateError, match=season):
		other.save()
	frappe.db.rollback()
	assert seasons.get_active_season().name == season


def test_two_seasons_activated_at_the_same_moment(season):
	frappe.db.set_value(DOCTYPE, season, "is_active", 0)
	two = [make_season().name for _ in range(2)]

	def activate(name: str) -> str:
		try:
			frappe.get_doc(DOCTYPE, name).update({"is_active": 1}).save()
			frappe.db.commit()
			return "activated"
		except (SeasonStateError, frappe.QueryDeadlockError) as error:
			return type(error).__name__

	outcomes = at_once(*[lambda name=name: activate(name) for name in two])
	assert outcomes.count("activated") == 1, outcomes
	assert len([row for row in state.rows(DOCTYPE) if row.is_active]) == 1


def test_a_season_whose_archiving_has_begun_is_not_activated_by_who_opened_it_before(season):
	frappe.db.set_value(DOCTYPE, season, "is_active", 0)
	opened = make_season()
	frappe.db.set_value(DOCTYPE, opened.name, "archive_started_at", frappe.utils.now(), update_modified=False)
	frappe.db.commit()
	opened.is_active = 1
	with pytest.raises(SeasonStateError, match="archived"):
		opened.save()
	frappe.db.rollback()
	opened = frappe.get_doc(DOCTYPE, opened.name)
	opened.update({"archive_started_at": None, "auto_archive": 1}).save()
	frappe.db.commit()
	opened.reload()
	assert opened.archive_started_at and opened.auto_archive


def test_a_new_season_has_no_past(season):
	made = make_season(
		archived_at=frappe.utils.now(), archive_started_at=frappe.utils.now(), archived_records=3
	)
	made.reload()
	assert (made.archived_at, made.archive_started_at, made.archived_records) == (None, None, 0)


def test_activating_after_the_other_was_deactivated(season):
	other = make_season(season_name="second")
	standing = frappe.get_doc(DOCTYPE, season)
	standing.update({"is_active": 0}).save()
	other.update({"is_active": 1}).save()
	frappe.db.commit()
	assert seasons.get_active_season().name == "second"


def test_a_season_is_active_only_with_its_partitions(season):
	frappe.db.set_value(DOCTYPE, season, "is_active", 0)
	made = make_season(season_name="bare")
	made.db_set("partition_created", 0)
	made.is_active = 1
	with pytest.raises(SeasonStateError, match="partitions"):
		made.save()
	frappe.db.rollback()
	assert seasons.get_active_season() is None


def test_a_season_is_not_archived_automatically_while_it_is_active(season):
	standing = frappe.get_doc(DOCTYPE, season)
	standing.auto_archive = 1
	with pytest.raises(SeasonStateError, match="automatically"):
		standing.save()
	frappe.db.rollback()
	assert not frappe.db.get_value(DOCTYPE, season, "auto_archive")
	assert make_season(auto_archive=1).auto_archive


@pytest.mark.parametrize(
	"doctype", ["Player Memory Tracker", "Player Review Log", "Archived Memory Tracker", "Review Outbox"]
)
@pytest.mark.parametrize("force", [False, True])
def test_a_season_with_records_can_not_be_deleted(doctype, force):
	made = make_season(season_name="played")
	payload = ", payload" if doctype == "Review Outbox" else ""
	frappe.db.sql(
		f"INSERT INTO `tab{doctype}` (name, season{payload}) VALUES ('row', 'played'{', %s' if payload else ''})",
		("[]",) if payload else (),
	)
	frappe.db.commit()
	with pytest.raises(SeasonStateError, match="played"):
		frappe.delete_doc(DOCTYPE, made.name, force=force)
	frappe.db.rollback()
	assert "played" in names()
	assert partitions.has_partitions("played")
	assert len(state.rows(doctype)) == 1


def test_a_season_without_records_goes_with_its_partitions():
	made = make_season(season_name="never played")
	frappe.delete_doc(DOCTYPE, made.name)
	frappe.db.commit()
	assert "never played" not in names()
	seasons_left = [p["season"] for p in tables.list_partitions("Player Memory Tracker")]
	assert "never played" not in seasons_left


def test_a_season_can_be_read_in_the_transaction_that_makes_it(player):
	frappe.db.commit()
	frappe.get_all(DOCTYPE)  # from here on the transaction sees the tables as they are now
	dates = {"start_date": "2026-01-01", "end_date": "2026-12-31"}
	made = frappe.get_doc({"doctype": DOCTYPE, "season_name": "read at once", **dates}).insert()
	assert made.partition_created
	assert tracker.get_all_records(player, made.name) == {}
	assert not any(tables.season_has_rows(doctype, made.name) for doctype in tables.ANY_ROW_SQL)
	frappe.db.rollback()
	assert "read at once" not in names()


@pytest.mark.parametrize("values", [{"end_date": "2025-01-01"}, {"is_active": 1}, {"end_date": None}])
def test_a_season_that_is_refused_leaves_no_partitions(values):
	frappe.db.commit()
	dates = {"start_date": "2026-01-01", "end_date": "2026-12-31"}
	document = frappe.get_doc({"doctype": DOCTYPE, "season_name": "refused", **dates, **values})
	with pytest.raises(frappe.ValidationError):
		document.insert()
	frappe.db.rollback()
	assert not partitions.has_partitions("refused")


def test_what_a_transaction_has_written_before_it_makes_a_season_is_not_committed(season):
	frappe.db.commit()
	frappe.db.set_value(DOCTYPE, season, "enable_redis", 0)
	dates = {"start_date": "2026-01-01", "end_date": "2026-12-31"}
	frappe.get_doc({"doctype": DOCTYPE, "season_name": "made with more", **dates}).insert()
	frappe.db.rollback()
	assert "made with more" not in names()
	assert frappe.db.get_value(DOCTYPE, season, "enable_redis") == 1


def test_a_season_that_had_rebuilds_and_reconciliations_can_be_deleted():
	made = make_season(season_name="looked after").name
	rebuild.rebuild_cache(made)
	reconciliation.reconcile(10, made)
	frappe.db.commit()
	frappe.delete_doc(DOCTYPE, made)
	frappe.db.commit()
	assert made not in names()


def test_a_season_with_records_on_their_way_to_the_archive_can_not_be_deleted(player):
	made = make_season(season_name="moving")
	make_records(player, season="moving")
	swap.take_out("moving")
	with pytest.raises(SeasonStateError, match="on their way"):
		frappe.delete_doc(DOCTYPE, made.name)
	frappe.db.rollback()
	assert "moving" in names()


def test_a_season_is_deleted_even_while_its_partitions_can_not_be_dropped(monkeypatch):
	monkeypatch.setattr(ddl, "DEADLINE_SECONDS", 0)
	monkeypatch.setattr(database, "METADATA_LOCK_WAIT_SECONDS", 0)
	made = make_season(season_name="never played")
	with raw_connection() as reader, reader.cursor() as cursor:
		cursor.execute("SELECT COUNT(*) FROM `tabPlayer Memory Tracker`")
		frappe.delete_doc(DOCTYPE, made.name)
		frappe.db.commit()
	assert "never played" not in names()
	again = make_season(season_name="never played")
	again.reload()
	assert again.partition_created and partitions.has_partitions("never played")


def test_a_record_that_arrives_while_its_season_is_deleted_keeps_the_partitions(player):
	made = make_season(season_name="late record").name
	frappe.delete_doc(DOCTYPE, made)
	make_records(player, season=made)  # which commits
	assert made not in names()
	assert partitions.has_partitions(made)


def test_a_deletion_that_is_rolled_back_keeps_the_partitions():
	made = make_season(season_name="kept")
	frappe.delete_doc(DOCTYPE, made.name)
	frappe.db.rollback()
	frappe.db.commit()
	assert "kept" in names()
	assert partitions.has_partitions("kept")


def test_the_active_season(season):
	active = seasons.get_active_season()
	assert (active.name, active.enable_redis) == (season, True)
	assert active.end_date == add_days(getdate(), 300)
	assert seasons.get_season(season) == active


def test_the_active_season_by_the_name_of_the_seeds(season):
	assert get_active_season() == season
	frappe.db.set_value(DOCTYPE, season, "is_active", 0)
	assert get_active_season() is None


def test_an_unknown_season_is_named():
	with pytest.raises(UnknownSeason, match="nowhere") as caught:
		seasons.get_season("nowhere")
	assert caught.value.http_status_code == 404


def test_why_none_is_active_names_the_latest_season(season):
	frappe.db.set_value(DOCTYPE, season, {"is_active": 0})
	assert seasons.get_active_season() is None
	assert season in seasons.why_none_is_active()
	with pytest.raises(NoActiveSeason, match=season) as caught:
		seasons.require_active_season()
	assert caught.value.http_status_code == 409


def test_why_none_is_active_when_the_latest_is_archived(season):
	frappe.db.set_value(DOCTYPE, season, {"is_active": 0, "archived_at": frappe.utils.now()})
	assert seasons.why_none_is_active() == f"Season {season} is over, and its records are archived."


def test_records_of_another_season_do_not_keep_a_season(player):
	make_records(player)
	made = make_season(season_name="empty")
	frappe.delete_doc(DOCTYPE, made.name)
	frappe.db.commit()
	assert "empty" not in names()
	assert len(state.tracker(player)) == 1
