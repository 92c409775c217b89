"""Gives ids to learners whose rows are from before learners had ids; see services/operations/learner_ids."""

from memora.services.operations import learner_ids


def execute() -> None:
	learner_ids.give_all()
