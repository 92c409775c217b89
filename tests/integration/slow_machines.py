"""Runs a model whose steps take tenths of a second."""

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

STEPS = 15


def run(machine: Callable[[], RuleBasedStateMachine], examples: int) -> None:
	settled = settings(
		max_examples=examples,
		stateful_step_count=STEPS,
		phases=[Phase.generate],  # a run takes seconds: a failure is shown as it was found
		deadline=None,  # a step waits for MariaDB
		suppress_health_check=list(HealthCheck),
	)
	run_state_machine_as_test(machine, settings=settled)
