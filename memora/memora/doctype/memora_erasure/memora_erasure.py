from memora.memora.written_by_answers import WrittenByAnswers


class MemoraErasure(WrittenByAnswers):
	"""That a learner was erased or detached, without a word of who she was; see services/operations/erasing."""
