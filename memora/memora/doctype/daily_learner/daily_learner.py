from memora.memora.without_owner import WithoutOwner


class DailyLearner(WithoutOwner):
	"""Notes that a learner answered on a learning day. Kept for some days; see figures/activity."""
