from memora.memora.written_by_people import WrittenByPeople
from memora.services.learning.plain_names import require_plain_name


class GameTopic(WrittenByPeople):
	def before_insert(self) -> None:
		require_plain_name(self.topic_name)
