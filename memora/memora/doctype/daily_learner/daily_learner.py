from memora.memora.written_by_answers import WrittenByAnswers


class DailyLearner(WrittenByAnswers):
	"""Notes that a learner answered on a learning day. Kept for some days; see figures/activity."""
