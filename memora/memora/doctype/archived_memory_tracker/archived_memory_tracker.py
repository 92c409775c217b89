from memora.memora.written_by_answers import WrittenByAnswers
from memora.services.store import row_names


class ArchivedMemoryTracker(WrittenByAnswers):
	def autoname(self) -> None:
		self.name = row_names.tracker_name(self.player, self.season, self.question_id)
