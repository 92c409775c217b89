from memora.memora.written_by_answers import WrittenByAnswers


class ActivityCount(WrittenByAnswers):
	"""Answers that one fold has counted and that are not added to Daily Activity yet; see figures/activity."""
