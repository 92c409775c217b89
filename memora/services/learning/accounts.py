"""What becomes of a learner when her Frappe account changes: renamed, given another name for people, deleted.

All of it happens in the transaction of the caller, who commits.
"""

import frappe
from frappe import _

from memora.exceptions import LearnerHasAnswers, quoting
from memora.services import site_time
from memora.services.store import database, former_addresses, learners, old_learners


def give_id(user: str) -> None:
	"""Gives a User her id, and rows from before learners had ids, if the patch has not come to her: her rows name her."""
	old = old_learners.id_of(user)
	if old and learners.has_rows(old) and old_learners.identify([user], site_time.naive_now()) == {user: old}:
		old_learners.adopt(old, user)


def follow(old: str, new: str) -> None:
	"""Remembers whose the former address is. Frappe itself has moved the learner's link, as each link to a User."""
	learner = learners.find_by_user(new)
	if learner and not learner.erasing_since:
		former_addresses.remember(old, learner.id, site_time.naive_now())


def rename(user: str, full_name: str) -> None:
	"""Has the learner of a User, if there is one, be called as the User is."""
	learners.rename(user, full_name, site_time.naive_now())


def leave(user: str) -> None:
	"""Deletes the learner of a User who is being deleted. Raises LearnerHasAnswers if answers of hers are stored."""
	give_id(user)
	if found := learners.find_by_user(user):
		database.hold_learner_locks(found.id)  # before rows: who answers locks in this order
	learner = learners.lock_user(user)
	if not learner:
		return
	if learners.has_rows(learner.id):
		_name_the_ways_out(user, learner.id)
	former_addresses.forget_learner(learner.id)
	learners.delete(learner.id)


def _name_the_ways_out(user: str, learner: str) -> None:
	command = f"bench --site {frappe.local.site} memora erase-learner {learner}"
	text = _(
		"{0} is a learner with stored answers, so this user can't be deleted. Erase her data: {1}. Or detach her, then the answers stay and are nobody's: {2}. Both are buttons of Memora Learner {3}, too. To keep her out, disable the user instead."
	)
	frappe.throw(quoting(text, user, command, f"{command} --detach", learner), LearnerHasAnswers)
