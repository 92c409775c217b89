from memora.memora.written_by_answers import WrittenByAnswers
from memora.services.figures import memory_view
from memora.services.store import journal, row_names


class PlayerReviewLog(WrittenByAnswers):
	def autoname(self) -> None:
		self.name = row_names.journal_name(self.player, self.season, self.submission_id, self.question_id)

	def onload(self) -> None:
		"""Gives the form its links: {doctype, name} of the record, and how many answers the submission has."""
		super().onload()
		self.set_onload("memory", memory_view.find_memory(self.player, self.season, self.question_id))
		answers = journal.count_answers(self.season, self.name)
		self.set_onload("submission_answers", answers)
