"""`bench --site <site> memora export-learner` and `erase-learner`."""

import json
from zipfile import ZipFile

import pytest

from memora.services.learning import learners
from tests.integration import state, whole_site
from tests.integration.factories import make_records
from tests.integration.test_commands import NOBODY_THERE, process, run, run_json
from tests.integration.test_erasing import Her, her, live, rows_of  # noqa: F401: a fixture


@pytest.fixture
def records(her) -> Her:  # noqa: F811
	make_records(her.id, 3)
	return her


def test_an_export(records, tmp_path):
	code, said = run_json("export-learner", records.user, "--output", str(tmp_path / "her.zip"))
	assert (code, said["records"], said["answers"]) == (0, 3, 0)
	assert len(json.loads(ZipFile(said["file"]).read("records.json"))) == 3


def test_an_export_by_id_as_a_process(records, tmp_path):
	done = process("export-learner", records.id, "--output", str(tmp_path / "her.zip"))
	assert done.returncode == 0, done.stderr
	assert "her.zip" in done.stdout


def test_a_dry_run(records):
	with state.nothing_changes():
		code, said = run_json("erase-learner", records.user, "--dry-run")
	assert (code, said["stored"]["Player Memory Tracker"]) == (0, 3)


def test_nothing_is_erased_unless_somebody_says_yes(records):
	with state.nothing_changes():
		done = process("erase-learner", records.user)
	assert done.returncode == 1
	assert "Player Memory Tracker: 3" in done.stderr
	assert done.stderr.endswith(f"Error: {NOBODY_THERE}\n")


def test_somebody_says_yes(records):
	done = run("erase-learner", records.user, "--reference", "Letter 17", input="y\n")
	assert done.exit_code == 0, done.stderr
	assert "Player Memory Tracker: 3" in done.stdout
	assert whole_site.find(records.id) == []
	(erasure,) = state.rows("Memora Erasure")
	assert (erasure.way, erasure.reference) == ("Command", "Letter 17")


def test_detached(records):
	code, _said = run_json("erase-learner", records.user, "--detach", "--yes")
	assert code == 0
	assert rows_of(records)["Player Memory Tracker"] == 3
	assert learners.look_up(records.user) is None


@pytest.mark.parametrize(
	"command", [("export-learner",), ("erase-learner", "--yes"), ("erase-learner", "--dry-run")]
)
def test_nobody(command):
	code, said = run_json(*command, "nobody@learners.example")
	assert code == 1
	assert "nobody@learners.example" in said["error"]
