"""Hostile decks end in a refusal or a named problem, within limits that the reader's process holds itself to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from memora.services.anki.limits import Limits
from tests.unit import anki_bombs

PROJECT = Path(__file__).parents[2]
PEAK_MB = 200
# In a process of its own, because a process that is started counts the memory of the one that starts it
READ = """
import json, resource, sys, tempfile
from pathlib import Path
from memora.services.anki import sandbox
from memora.services.anki.limits import Limits
from memora.services.anki.messages import Refused, told
assert "frappe" not in sys.modules
with tempfile.TemporaryDirectory() as folder:
	folder = Path(folder)
	try:
		found, _cost = sandbox.run_reader(Path(sys.argv[1]), folder, Limits(keep_media=True))
		lines = (folder / "problems.jsonl").read_text().splitlines()
		found["problems"] = [told(json.loads(line)[3], str) for line in lines]
		found["files"] = sorted(str(path.relative_to(folder)) for path in (folder / "media").rglob("*"))
		found["items"] = (folder / "items.jsonl").read_text()
	except Refused as error:
		found = {"refused": told(error.message, str)}
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({**found, "peak_mb": usage.ru_maxrss >> 10, "seconds": usage.ru_utime + usage.ru_stime}))
"""


def read(path: Path, first: str = "") -> dict:
	"""`first` is done before the reader is started."""
	done = subprocess.run(
		[sys.executable, "-c", first + READ, str(path)],
		capture_output=True,
		text=True,
		env={"PYTHONPATH": str(PROJECT)},
		check=False,
	)
	assert done.returncode == 0, done.stderr
	found = json.loads(done.stdout)
	assert found["peak_mb"] < PEAK_MB
	return found


@pytest.mark.parametrize("reason", anki_bombs.REFUSED)
def test_a_bomb_is_refused_by_name(reason, tmp_path):
	anki_bombs.REFUSED[reason](tmp_path / "bomb.apkg")
	refused = read(tmp_path / "bomb.apkg")["refused"]
	assert reason in refused
	assert "<" not in refused


@pytest.mark.parametrize("reason", anki_bombs.SKIPPED)
def test_what_is_wrong_with_one_card_is_listed(reason, tmp_path):
	anki_bombs.SKIPPED[reason](tmp_path / "bomb.apkg")
	found = read(tmp_path / "bomb.apkg")
	assert any(reason in problem for problem in found["problems"]), found
	assert found["files"] == []
	assert "<" not in "".join(found["problems"])


@pytest.mark.parametrize("name", anki_bombs.READ)
def test_what_is_only_long_is_read(name, tmp_path):
	anki_bombs.READ[name](tmp_path / "long.apkg")
	found = read(tmp_path / "long.apkg")
	assert (found["questions"], found["skipped"]) == (1, 0), found


def test_a_picture_stays_in_the_folder_whatever_its_name(tmp_path):
	name = "../../../out.png"
	anki_bombs.picture(name, anki_bombs.png(1, 1))(tmp_path / "deck.apkg")
	found = read(tmp_path / "deck.apkg")
	(file,) = found["files"]
	assert file.startswith("media/anki-")
	assert f"/files/{file.removeprefix('media/')}" in found["items"]


def test_a_bomb_of_the_least_size_has_no_more_than_five_seconds():
	assert Limits().base_seconds + 1 <= 5


def test_an_ordinary_deck_is_read_however_many_notes_it_has(tmp_path):
	anki_bombs.ordinary(tmp_path / "deck.apkg")
	found = read(tmp_path / "deck.apkg")
	assert (found["questions"], found["answers"], found["skipped"]) == (40_000, 200_000, 0), found


def test_a_host_may_have_lower_limits_of_its_own(tmp_path):
	anki_bombs.deck(tmp_path / "deck.apkg", "a\x1fb")
	lower = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (20, 21))"
	lower += "; resource.setrlimit(resource.RLIMIT_DATA, (100 << 20, 100 << 20))"
	assert read(tmp_path / "deck.apkg", lower)["questions"] == 1
