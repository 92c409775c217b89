"""The demo's learners. They are real users; their last name tells them from the site's own users."""

from dataclasses import dataclass

import frappe
from frappe.core.doctype.user import user as frappe_users
from frappe.utils.password import update_password

from devtools.report import Failure

LAST_NAME = "(demo)"
PASSWORD = "learner"
LEARNERS = 20
REPLAY_USER = "replay@example.com"
TEACHER_ROLE = "Memora Manager"


@dataclass(frozen=True)
class Credentials:
	"""A user and her API key. Most clients of the demo sign in with the key."""

	user: str
	key: str
	secret: str


def ensure_learners() -> list[Credentials]:
	"""Makes the demo's learners and commits. The first one is also a teacher, who may look at the lists in the desk."""
	emails = [f"learner{number:02}@example.com" for number in range(1, LEARNERS + 1)]
	learners = [_ensure(email, f"Learner {number:02}") for number, email in enumerate(emails, start=1)]
	frappe.get_doc("User", emails[0]).add_roles(TEACHER_ROLE)
	frappe.db.commit()
	return learners


def ensure_replay_learner() -> Credentials:
	"""Makes the learner who gives the answers of the file, and commits."""
	learner = _ensure(REPLAY_USER, "Replay")
	frappe.db.commit()
	return learner


def _ensure(email: str, first_name: str) -> Credentials:
	if not frappe.db.exists("User", email):
		_insert(email, first_name)
	user = frappe.get_doc("User", email)
	if user.last_name != LAST_NAME:
		raise Failure(f"There is already a user {email}, whom the demo did not make: nothing was changed")
	if not user.api_key or not user.get_password("api_secret", raise_exception=False):
		user.update(_new_key())
		user.save()
	update_password(email, PASSWORD)  # skips the password policy, which "learner" would not meet
	return Credentials(email, user.api_key, user.get_password("api_secret"))


def _insert(email: str, first_name: str) -> None:
	"""Makes a user with her key. The user is saved once, because each save takes time."""
	frappe.conf.throttle_user_limit = 1000  # in this process: Frappe refuses a 61st new user in an hour
	# Frappe would look for users whose mailbox needs a password, and empty all caches. These users have no mailbox.
	frappe_users.ask_pass_update = lambda: None
	names = {"email": email, "first_name": first_name, "last_name": LAST_NAME}
	kind = {"user_type": "Website User", "send_welcome_email": 0}
	frappe.get_doc({"doctype": "User", **names, **kind, **_new_key()}).insert()


def _new_key() -> dict[str, str]:
	return {"api_key": frappe.generate_hash(length=15), "api_secret": frappe.generate_hash(length=15)}
