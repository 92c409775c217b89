"""An erasure is killed at each of its steps, and the next one ends it."""

import signal

import frappe
import pytest

from memora.exceptions import LearnerIsErased
from memora.services.learning import learners
from memora.services.operations import erasing, exporting
from tests.integration import dying_eraser, state, whole_site
from tests.integration.test_erasing import archive_of, her, live  # noqa: F401: fixture


@pytest.mark.parametrize("step", [*erasing.ERASING, dying_eraser.PAGE, dying_eraser.LAST])
def test_a_run_that_was_killed_is_ended_by_the_next(her, season, step):  # noqa: F811
	archive_of(her)
	live(her, season)
	exporting.export_for(her.id, "Administrator")
	assert dying_eraser.run(her.user, step).returncode == -signal.SIGKILL
	frappe.db.rollback()
	with pytest.raises(LearnerIsErased):  # until all is gone nothing of hers is read or stored
		learners.sit_down(her.user)
	(erasure,) = state.rows("Memora Erasure")
	assert erasure.status == "Running"
	result = erasing.run(her.user, erasing.ERASE, "Command")
	assert (result["erasure"], "error" in result) == (erasure.name, False)
	removed = {
		"Player Memory Tracker": 5,
		"Player Review Log": 3,
		"Archived Memory Tracker": 4,
		"Review Outbox": 1,
	}
	assert {k: result["removed"][k] for k in removed} == removed
	assert whole_site.find(her.id) == []
