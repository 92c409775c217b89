from memora.memora.written_by_people import WrittenByPeople
from memora.services.learning import content_changes
from memora.services.learning.plain_names import require_plain_name
from memora.services.store import question_bank


class GameSubject(WrittenByPeople):
	def before_insert(self) -> None:
		require_plain_name(self.subject_name)

	def after_insert(self) -> None:
		content_changes.note_subject(self.name)

	def before_rename(self, old: str, new: str, merge: bool = False) -> None:
		require_plain_name(new)

	def after_rename(self, old: str, new: str, merge: bool = False) -> None:
		"""Frappe has given topics and questions the new subject by now."""
		content_changes.note_moves(question_bank.get_ids(subject=new))
		content_changes.note_subject_rename(old, new)
