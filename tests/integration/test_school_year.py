"""Whatever a school year brings, each learner is asked what is due of what is asked now, and her answers count once."""

import os
from functools import partial

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.integration.school_year_machine import Machine

EXAMPLES = int(os.environ.get("MEMORA_SCHOOL_YEAR_EXAMPLES", "4"))  # half a minute
STEPS = 15


def test_reads_agree_with_records_and_bank_after_each_step(tmp_path):
	settled = settings(
		max_examples=EXAMPLES,
		stateful_step_count=STEPS,
		phases=[Phase.generate],  # a run takes seconds: a failure is shown as it was found
		deadline=None,  # a step waits for MariaDB
		suppress_health_check=list(HealthCheck),
	)
	run_state_machine_as_test(partial(Machine, tmp_path), settings=settled)
