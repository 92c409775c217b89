from memora.memora.written_by_people import WrittenByPeople
from memora.services.learning import content_changes
from memora.services.learning.plain_names import require_plain_name
from memora.services.store import question_bank


class GameTopic(WrittenByPeople):
	def before_insert(self) -> None:
		require_plain_name(self.topic_name)

	def on_update(self) -> None:
		if self.get_doc_before_save() and self.has_value_changed("subject"):
			question_bank.move_topic(self.name, self.subject)
			content_changes.note_moves(question_bank.get_ids(topic=self.name))

	def before_rename(self, old: str, new: str, merge: bool = False) -> None:
		require_plain_name(new)

	def after_rename(self, old: str, new: str, merge: bool = False) -> None:
		"""Frappe has given the questions the new topic by now. The topic that is merged into may be one of another subject."""
		if merge:  # questions of the other topic may stand before what learners have seen of this one
			question_bank.note_new_questions(new)
		question_bank.move_topic(new, self.subject)
		content_changes.note_moves(question_bank.get_ids(topic=new))

	def on_trash(self) -> None:
		content_changes.note_moves(question_bank.get_ids(topic=self.name))
