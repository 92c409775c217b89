from memora.memora.without_owner import WithoutOwner


class ActivityCount(WithoutOwner):
	"""Answers that one fold has counted and that are not added to Daily Activity yet; see figures/activity."""
