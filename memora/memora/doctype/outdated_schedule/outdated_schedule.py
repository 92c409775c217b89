from memora.memora.written_by_answers import WrittenByAnswers


class OutdatedSchedule(WrittenByAnswers):
	"""A learner's schedule in Redis that lacks a change; see store/outdated_schedules.py."""
