from memora.memora.written_by_answers import WrittenByAnswers


class SafeModeAdmission(WrittenByAnswers):
	"""One reading admitted in Safe Mode; kept for as long as the limits look back."""
