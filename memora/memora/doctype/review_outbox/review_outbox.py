from memora.memora.written_by_answers import WrittenByAnswers


class ReviewOutbox(WrittenByAnswers):
	pass
