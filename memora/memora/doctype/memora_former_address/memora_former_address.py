from memora.memora.written_by_answers import WrittenByAnswers


class MemoraFormerAddress(WrittenByAnswers):
	"""Whose an address was, until when; see services/store/former_addresses. Kept for some days."""
