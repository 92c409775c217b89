"""The demo's learners: real users, told from a site's own by their last name."""

from dataclasses import dataclass

import frappe
from frappe.utils.password import update_password

from devtools.report import Failure

LAST_NAME = "(demo)"
PASSWORD = "learner"
LEARNERS = 20
REPLAY_USER = "replay@example.com"
TEACHER_ROLE = "Memora Manager"


@dataclass(frozen=True)
class Learner:
	"""A user and her API key, by which most clients of the demo sign in."""

	user: str
	key: str
	secret: str


def ensure_learners() -> list[Learner]:
	"""The demo's learners; the first is a teacher, too, who may look at the lists in the desk. Commits."""
	emails = [f"learner{number:02}@example.com" for number in range(1, LEARNERS + 1)]
	learners = [_ensure(email, f"Learner {number:02}") for number, email in enumerate(emails, start=1)]
	frappe.get_doc("User", emails[0]).add_roles(TEACHER_ROLE)
	frappe.db.commit()
	return learners


def ensure_replay_learner() -> Learner:
	"""The one who gives the answers of the file. Commits."""
	learner = _ensure(REPLAY_USER, "Replay")
	frappe.db.commit()
	return learner


def _ensure(email: str, first_name: str) -> Learner:
	if not frappe.db.exists("User", email):
		_insert(email, first_name)
	user = frappe.get_doc("User", email)
	if user.last_name != LAST_NAME:
		raise Failure(f"There is a user {email} who is not the demo's: nothing was done")
	if not user.api_key or not user.get_password("api_secret", raise_exception=False):
		user.update(_new_key())
		user.save()
	update_password(email, PASSWORD)  # past the policy for passwords, which "learner" would not meet
	return Learner(email, user.api_key, user.get_password("api_secret"))


def _insert(email: str, first_name: str) -> None:
	"""With the key at once: each save of a user takes half a second, as it empties Frappe's caches."""
	frappe.conf.throttle_user_limit = 1000  # of this process alone: Frappe makes 60 users an hour
	names = {"email": email, "first_name": first_name, "last_name": LAST_NAME}
	kind = {"user_type": "Website User", "send_welcome_email": 0}
	frappe.get_doc({"doctype": "User", **names, **kind, **_new_key()}).insert()


def _new_key() -> dict[str, str]:
	return {"api_key": frappe.generate_hash(length=15), "api_secret": frappe.generate_hash(length=15)}
