"""The doctor's checks of who gets in. Each yields (problem, how to mend it)."""

from collections.abc import Iterator

import frappe
from frappe import _
from frappe.utils import cint

from memora.services.settings import get_settings


def sign_up() -> Iterator[tuple[str, str]]:
	is_closed = cint(frappe.db.get_single_value("Website Settings", "disable_signup"))
	if not is_closed and not get_settings().learner_role:
		yield (
			_("Whoever signs up on this site can learn, because Memora Settings name no Learner Role."),
			_(
				"Choose a Learner Role in Memora Settings and give it to your learners, or tick Disable Signups in Website Settings."
			),
		)
