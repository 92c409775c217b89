"""What a person has learnt is what she herself has answered, whatever becomes of her address; and nothing of the erased stays."""

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.integration.identity_machine import Machine

EXAMPLES = int(os.environ.get("MEMORA_IDENTITY_EXAMPLES", "4"))  # half a minute
STEPS = 15


def test_each_has_what_she_has_answered_and_nothing_of_the_erased_stays():
	settled = settings(
		max_examples=EXAMPLES,
		stateful_step_count=STEPS,
		phases=[Phase.generate],  # a run takes seconds: a failure is shown as it was found
		deadline=None,  # a step waits for MariaDB
		suppress_health_check=list(HealthCheck),
	)
	run_state_machine_as_test(Machine, settings=settled)
