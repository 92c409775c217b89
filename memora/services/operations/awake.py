"""Keeps Frappe's scheduler at work while learners learn.

Frappe takes a site for dormant on which nobody has signed in for some days, and then runs its jobs once a day. Learners
who come by API tokens never sign in. So their requests are noted the way Frappe counts a sign-in, about once a day.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import cast

import frappe
from frappe.model.naming import set_new_name
from frappe.utils import cint, now_datetime, scheduler

from memora.services.store import failures

LOOK_SECONDS = 3600  # at least, between two looks of a process
FRAPPES_DAYS = 4  # until a site is dormant, unless System Settings say otherwise

_looked_at: dict[str, float] = {}  # by site, of the monotonic clock


def keep_awake() -> None:
	"""Notes that the site is in use, if Frappe has known nothing of it for a day. Never raises because of MariaDB. Commits.

	Costs nothing but a look at the clock, and two queries once an hour.
	"""
	site, now = frappe.local.site, time.monotonic()
	if now < _looked_at.get(site, -LOOK_SECONDS) + LOOK_SECONDS:
		return
	_looked_at[site] = now
	try:
		if scheduler.is_dormant(check_time=now_datetime() + _ahead()):
			frappe.db.rollback()  # everything to be kept is committed by now
			_note()
			frappe.db.commit()
	except failures.ERRORS as error:
		frappe.db.rollback()
		frappe.logger("memora").error(f"could not note that the site is in use: {error}")


def _ahead() -> timedelta:
	"""Returns how long before the site falls dormant its use is noted anew: a day after the last note, if days are more than one."""
	days = cint(frappe.get_system_settings("dormant_days")) or FRAPPES_DAYS
	return timedelta(days=max(days - 1, days / 2))


def _note() -> None:
	"""Writes what Frappe looks at: 15 the newest Activity Log, 16 the User who was active last. It names no learner."""
	log = frappe.new_doc("Activity Log")
	now = now_datetime()
	stamp = {"owner": "Administrator", "modified_by": "Administrator", "creation": now, "modified": now}
	subject = "Learners use the site by API tokens"
	log.update({"subject": subject, "user": "Administrator", "communication_date": now, **stamp})
	set_new_name(log)
	log.db_insert()  # not as the learner whose request this is
	frappe.db.set_value("User", "Administrator", "last_active", now, update_modified=False)
	forget_what_was_found()


def forget_what_was_found() -> None:
	"""Frappe keeps for an hour what it has found: 15 whether to run jobs, 16 also whether the site is dormant."""
	for look in (scheduler.schedule_jobs_based_on_activity, scheduler.is_dormant):
		if forget := getattr(look, "clear_cache", None):
			cast(Callable[[], None], forget)()
