from memora.memora.written_by_people import WrittenByPeople
from memora.services.learning.plain_names import require_plain_name
from memora.services.store import question_bank


class GameTopic(WrittenByPeople):
	def before_insert(self) -> None:
		require_plain_name(self.topic_name)

	def after_rename(self, old: str, new: str, merge: bool = False) -> None:
		if merge:  # questions of the other topic may stand before what learners have seen of this one
			question_bank.note_new_questions(new)
