"""What a person has learnt is what she herself has answered, whatever becomes of her address; and nothing of the erased stays."""

import os

from tests.integration import slow_machines
from tests.integration.identity_machine import Machine

EXAMPLES = int(os.environ.get("MEMORA_IDENTITY_EXAMPLES", "4"))  # half a minute


def test_each_has_what_she_has_answered_and_nothing_of_the_erased_stays():
	slow_machines.run(Machine, EXAMPLES)
