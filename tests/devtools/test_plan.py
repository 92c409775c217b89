"""In how many processes `./dev test` runs what."""

import pytest

from devtools import test_benches
from devtools.test_benches import plan


@pytest.mark.parametrize("args", [[], ["-x"], ["-q", "--durations=5"], ["--quick"]])
@pytest.mark.parametrize("cores", [1, 2])
def test_a_whole_run_takes_as_many_as_there_are_cores(args, cores, monkeypatch):
	monkeypatch.setattr(test_benches, "PROCESSES", cores)
	processes, for_pytest = plan(args)
	assert (processes, "-n" in for_pytest) == (cores, cores > 1)


@pytest.mark.parametrize(
	"args", [["-k", "review"], ["tests/unit"], ["--lf"], ["--pdb"], ["-m", "slow"], ["-n1"]]
)
def test_named_tests_run_in_one(args):
	processes, for_pytest = plan(args)
	assert (processes, for_pytest) == (1, [arg for arg in args if arg != "-n1"])


@pytest.mark.parametrize("args", [["-n", "3"], ["-n3"]])
def test_as_many_as_somebody_says(args):
	assert plan([*args, "-k", "review"])[0] == 3


def test_the_quick_ones():
	assert plan(["--quick", "-n1"]) == (1, ["-m", test_benches.QUICK])
