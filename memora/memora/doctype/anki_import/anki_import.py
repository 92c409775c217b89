import re

import frappe
from frappe import _
from frappe.utils import escape_html

from memora.exceptions import InvalidAnkiImport, JobStateError, quoting
from memora.memora.written_by_people import WrittenByPeople
from memora.services.anki import importer
from memora.services.learning import learners
from memora.services.operations.admin_jobs import StartedJob

BUSY = ("Queued", "Running")
FILE = re.compile(r"/(?:private/)?files/[^<>\"]+")


class AnkiImport(WrittenByPeople):
	def validate(self) -> None:
		if not self.flags.by_the_job and frappe.db.get_value(self.doctype, self.name, "status") in BUSY:
			frappe.throw(_("This import is running. Cancel it before you change it."), JobStateError)
		self._check_file()
		if not self.flags.by_the_job:
			self._check_learner()
		for topic in filter(None, {self.topic, *(row.topic for row in self.decks)}):
			self._check_topic(topic)

	def on_trash(self) -> None:
		if self.status in BUSY:
			frappe.throw(_("This import is running. Cancel it before you delete it."), JobStateError)

	def _check_file(self) -> None:
		"""Refuses an address of elsewhere, and one that is markup: lists and forms make a link of it."""
		if not FILE.fullmatch(self.file or ""):
			message = _(
				"{0} is no file of this site, or its name has angle brackets or quotation marks. Upload it anew."
			)
			frappe.throw(quoting(message, self.file), InvalidAnkiImport)

	def _check_learner(self) -> None:
		"""Refuses answers in somebody else's name: whoever made the deck can have put any answers of any day into it."""
		user = frappe.session.user
		if not self.learner or "System Manager" in frappe.get_roles(user):
			return
		if self.learner != learners.look_up(user):
			frappe.throw(
				_("Only a System Manager imports the review history of another learner, here of {0}.").format(
					escape_html(self.learner)
				),
				frappe.PermissionError,
			)

	def _check_topic(self, topic: str) -> None:
		subject = frappe.db.get_value("Game Topic", topic, "subject")
		if subject and subject != self.subject:
			frappe.throw(
				_("Topic {0} belongs to the subject {1}, not {2}.").format(
					*map(escape_html, (topic, subject, self.subject))
				),
				InvalidAnkiImport,
			)

	@frappe.whitelist(methods=["POST"])
	def preview(self) -> None:
		"""Reads the file and notes what importing it would do. Nothing else changes."""
		self.check_permission("write")
		self._check_learner()
		importer.preview_import(self)

	@frappe.whitelist(methods=["POST"])
	def start(self) -> StartedJob:
		"""Starts the job that imports; returns {status: queued, job_id}. Raises JobStateError, QueueUnavailable."""
		self.check_permission("write")
		self._check_learner()
		return importer.start_import(self)

	@frappe.whitelist(methods=["POST"])
	def cancel_import(self) -> None:
		"""Stops the job within seconds. Imported questions stay, and the next start goes on. Raises JobStateError."""
		self.check_permission("write")
		importer.cancel_import(self)
