"""Frappe's hooks around its own requests for personal data: what Memora stores of a learner is handed out and erased with the rest."""

from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import get_url

from memora.exceptions import ErasureStopped, quoting
from memora.services.folding import queueing
from memora.services.learning import learners
from memora.services.operations import admin_jobs, erasing, exporting
from memora.services.store import erasures

DELETION, DOWNLOAD = "Personal Data Deletion Request", "Personal Data Download Request"
ANONYMISES = "_anonymize_data"  # the method of a deletion request that its job runs
APPROVED = "Pending Approval"
SEND_JOB = "memora.memora.personal_data.send_export"


def erase_before_job(method: str, kwargs: dict[str, Any], transaction_type: str) -> None:
	"""Hook before_job: erases a learner before the job of her deletion request anonymises and renames her User.

	Here transactions are Memora's own; in an event of the request's document, on Frappe 16, they are not.
	"""
	if kwargs.get("doctype") == DELETION and kwargs.get("doc_method") == ANONYMISES:
		_erase(frappe.get_doc(DELETION, kwargs["name"]))


def erase_in_request(doc: Document, method: str | None = None) -> None:
	"""Hook of Personal Data Deletion Request: the same, where her User is anonymised without a job.

	Frappe saves the request when it begins, with the steps that it is about to take.
	"""
	if doc.get("deletion_steps"):
		_erase(doc)


def _erase(doc: Document) -> None:
	learner = learners.look_up(doc.email)
	if doc.status != APPROVED or not learner or not erasures.is_there(learner):
		return
	result = erasing.run(doc.email, erasing.ERASE, "Request")
	if error := result.get("error"):
		frappe.throw(quoting("{0}", error), ErasureStopped)


def add_export(doc: Document, method: str | None = None) -> None:
	"""Hook of Personal Data Download Request: a job sends her a second mail, for what Memora stores of her."""
	if learners.look_up(doc.user):
		options = {"timeout": admin_jobs.TIMEOUT_SECONDS, "enqueue_after_commit": True}
		queueing.enqueue(SEND_JOB, queue=admin_jobs.QUEUE, request=doc.name, **options)


def send_export(request: str) -> None:
	"""Makes a learner's export and mails her where it is. Only she can read it, once she has signed in: anybody may ask."""
	doc = frappe.get_doc(DOWNLOAD, request)
	learner = learners.look_up(doc.user)
	if not learner:
		return
	made = exporting.export_for(learner, doc.user)
	title = _("Download Your Data")
	names = {"user": doc.user, "user_name": doc.user_name, "host_name": frappe.local.site}
	frappe.sendmail(
		recipients=doc.user,
		subject=title,
		template="download_data",
		args={**names, "link": get_url(made["file_url"])},
		header=[title, "green"],
	)
