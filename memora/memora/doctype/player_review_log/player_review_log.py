from memora.memora.written_by_answers import WrittenByAnswers
from memora.services import memory_store


class PlayerReviewLog(WrittenByAnswers):
	def autoname(self) -> None:
		self.name = memory_store.journal_name(self.player, self.season, self.submission_id, self.question_id)
