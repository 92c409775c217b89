"""What the documentation points at is there."""

import re
from pathlib import Path

import pytest

from devtools import cli
from devtools.paths import PROJECT
from screenshots import PICTURES, camera, pictures

DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
IMAGES = PROJECT / "docs" / "images"
TARGET = re.compile(r"\]\(([^)\s#]+)[^)]*\)|(?:src|href)=\"([^\"#]+)\"")


def targets(document: Path) -> set[Path]:
	"""Files that a document links to or shows."""
	found = {one or other for one, other in TARGET.findall(document.read_text())}
	return {(document.parent / target).resolve() for target in found if "://" not in target}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_links_to_is_there(document):
	assert [target for target in targets(document) if not target.exists()] == []


def test_each_picture_is_made_small_and_shown():
	made = {IMAGES / f"{name}.png" for name in PICTURES}
	assert set(IMAGES.iterdir()) == made
	assert set(pictures.TAKE) == set(PICTURES)
	assert max(path.stat().st_size for path in made) < camera.LARGEST_BYTES
	assert made <= set().union(*map(targets, DOCUMENTS))


def test_help_names_the_command_and_each_picture(capsys):
	assert cli.main([]) == 0
	assert "  screenshots " in capsys.readouterr().out
	assert cli.main(["screenshots", "--help"]) == 0
	shown = capsys.readouterr().out
	assert [name for name in PICTURES if name not in shown] == []
