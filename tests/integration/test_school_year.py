"""Whatever a school year brings, each learner is asked what is due of what is asked now, and her answers count once."""

import os
from functools import partial

from tests.integration import slow_machines
from tests.integration.school_year_machine import Machine

EXAMPLES = int(os.environ.get("MEMORA_SCHOOL_YEAR_EXAMPLES", "4"))  # half a minute


def test_reads_agree_with_records_and_bank_after_each_step(tmp_path):
	slow_machines.run(partial(Machine, tmp_path), EXAMPLES)
