from memora.memora.written_by_answers import WrittenByAnswers
from memora.services import memory_store


class PlayerMemoryTracker(WrittenByAnswers):
	def autoname(self) -> None:
		self.name = memory_store.tracker_name(self.player, self.season, self.question_id)
