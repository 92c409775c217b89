from memora.memora.written_by_answers import WrittenByAnswers


class MemoraLearner(WrittenByAnswers):
	"""Who learns. `name` is an id of 16 hex digits that never changes; see services/learning/learners."""
