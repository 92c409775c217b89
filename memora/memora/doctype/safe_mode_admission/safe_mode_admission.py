from memora.memora.written_by_answers import WrittenByAnswers


class SafeModeAdmission(WrittenByAnswers):
	"""One reading that Safe Mode has admitted. Kept for as long as the limits look back."""
