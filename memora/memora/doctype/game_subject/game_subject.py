from memora.memora.written_by_people import WrittenByPeople
from memora.services.learning.plain_names import require_plain_name


class GameSubject(WrittenByPeople):
	def before_insert(self) -> None:
		require_plain_name(self.subject_name)

	def before_rename(self, old: str, new: str, merge: bool = False) -> None:
		require_plain_name(new)
