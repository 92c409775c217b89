"""What names a learner outside of the tables of answers goes with her: documents, files, jobs, logs."""

import gzip
import json
from pathlib import Path

import frappe
from frappe.model.document import Document
from frappe.utils import background_jobs

from memora.services import site_time
from memora.services.operations import exporting
from memora.services.store import former_addresses
from tests.integration import state, whole_site
from tests.integration.test_erasing import erased, her, other  # noqa: F401: fixtures


def test_reports_and_exports_that_name_her(her, other):  # noqa: F811
	hers, others = make_report(her.id), make_report(other.id)
	export = Path(
		frappe.get_site_path("private", "files", exporting.export_for(her.id, "Administrator")["file"])
	)
	assert export.is_file()
	removed = erased(her)["removed"]
	assert (removed["Prepared Report"], removed["File"]) == (1, 1)
	assert not export.exists()
	assert not frappe.db.exists("Prepared Report", hers)
	assert frappe.db.exists("Prepared Report", others)
	assert whole_site.find(her.id) == []


def make_report(player: str) -> str:
	doc = frappe.get_doc({"doctype": "Prepared Report", "report_name": "Learner Overview", "filters": "{}"})
	doc.flags.ignore_permissions = True
	doc.name = frappe.generate_hash(length=10)
	doc.db_insert()
	content = gzip.compress(json.dumps({"result": [{"player": player}]}).encode())
	make_file(
		f"{doc.name}.json.gz", content, attached_to_doctype="Prepared Report", attached_to_name=doc.name
	)
	return doc.name


def make_file(name: str, content: bytes, **values: str) -> Document:
	values = {"file_name": name, "content": content, "is_private": 1, **values}
	file = frappe.get_doc({"doctype": "File", **values}).insert()
	frappe.db.commit()
	return file


def test_an_import_of_hers_and_its_deck(her, deck):  # noqa: F811
	file = make_file("geo.apkg", deck.read_bytes())
	doc = frappe.new_doc("Anki Import", file=file.file_url, subject="Bank Geography", learner=her.id)
	doc.name = frappe.generate_hash(length=10)
	doc.db_insert()
	frappe.db.commit()
	path = Path(file.get_full_path())
	assert path.is_file()
	assert erased(her)["removed"]["Anki Import"] == 1
	assert not path.exists()
	assert state.rows("Anki Import") == []
	assert not frappe.db.exists("File", file.name)


def test_jobs_that_name_her_by_id_or_by_address(her, other):  # noqa: F811
	for who in (her, other):
		for name in (who.user, who.id):
			job = {"responses": [], "user": name, "season": "SEASON-2026"}
			frappe.enqueue("memora.services.srs_persistence.persist_review_batch", queue="short", **job)
	frappe.enqueue("frappe.utils.now", queue="short", unused=her.user)  # none of Memora's
	assert erased(her)["removed"]["Jobs"] == 2
	assert whole_site.in_redis(her.id) == []
	queue = background_jobs.get_queue("short")
	assert (
		len([job for job in queue.get_jobs() if other.id in str(job.kwargs) or other.user in str(job.kwargs)])
		== 2
	)
	assert len([job for job in queue.get_jobs() if her.user in str(job.kwargs)]) == 1


def test_logs_and_notes_of_frappe(her):  # noqa: F811
	make_log("Route History", route=f"Form/Memora Learner/{her.id}", user="Administrator")
	make_log("Error Log", error=f"KeyError: {her.id}")
	make_log("Error Log", error="KeyError: somebody else")
	frappe.db.commit()
	frappe.logger("memora").error(f"{her.id} of {her.user}")
	assert whole_site.in_files(her.id)
	erased(her)
	assert whole_site.find(her.id) == []
	assert [p for p in whole_site.in_files(her.user) if "memora" in Path(p).name] == []
	assert len(state.rows("Error Log")) == 1


def make_log(doctype: str, **values) -> None:
	frappe.get_doc({"doctype": doctype, **values}).insert(ignore_permissions=True)


def test_former_addresses(her, other):  # noqa: F811
	for who in (her, other):
		former_addresses.remember("once@learners.example", who.id, site_time.naive_now())
	frappe.db.commit()
	assert erased(her)["removed"]["Memora Former Address"] == 1
	assert [row.learner for row in state.rows("Memora Former Address")] == [other.id]
