from memora.memora.without_owner import WithoutOwner


class QuestionStatus(WithoutOwner):
	"""What the question source says of a question now. Its name is the question's id; see store/question_status.py."""
