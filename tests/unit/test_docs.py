"""The documentation points at what is there, and says of every command, setting, endpoint and error what it is, once."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from benchmarks.perf import SECTIONS
from devtools import cli
from devtools.paths import PROJECT
from memora import commands, exceptions
from memora.api import openapi
from memora.memora.doctype.memora_settings.memora_settings import RANGES
from memora.services.operations import doctor
from screenshots import PICTURES, camera, pictures

DOCS, README = PROJECT / "docs", PROJECT / "README.md"
DOCUMENTS = [*sorted(PROJECT.glob("*.md")), *sorted(DOCS.glob("*.md")), *PROJECT.glob("memora/*/README.md")]
IMAGES = DOCS / "images"
MOST_LINES = 120  # of README

TARGET = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
FOLDERS = ("memora", "docs", "tests", "devtools", "benchmarks", "screenshots", ".github")
IN_REPOSITORY = re.compile(rf"({'|'.join(map(re.escape, FOLDERS))})/[\w./-]+")
NOT_IN_REPOSITORY = ("DESIGN.md", "shared/")


def prose(document: Path) -> str:
	"""A document without its blocks of code."""
	return BLOCK.sub("", document.read_text())


def links(document: Path) -> list[tuple[Path, str]]:
	"""(file, anchor or "") of everything in this repository that a document links to or shows."""
	found = [one or other for one, other in TARGET.findall(prose(document))]
	parts = [target.partition("#") for target in found if "://" not in target]
	return [((document.parent / path).resolve() if path else document, to) for path, _hash, to in parts]


def targets(document: Path) -> set[Path]:
	return {path for path, _anchor in links(document)}


@cache
def anchors(document: Path) -> set[str]:
	"""Returns the anchors of headings, as GitHub makes them: a second one of the same words gets -1."""
	found: list[str] = []
	for title in HEADING.findall(prose(document)):
		words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title)
		slug = re.sub(r"[^\w\- ]", "", words).lower().replace(" ", "-")
		found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
	return set(found)


@cache
def rows() -> dict[str, list[list[str]]]:
	"""The rows of all tables that begin with something in backticks, by what that is."""
	found: dict[str, list[list[str]]] = {}
	for document in DOCUMENTS:
		for line in re.findall(r"^\| `.*\|$", prose(document), re.MULTILINE):
			cells = [cell.strip() for cell in line.strip("|").split(" |")]
			for name in CODE.findall(cells[0]):
				found.setdefault(name, []).append(cells)
	return found


def row_of(name: str) -> list[str]:
	"""The one row that says what something is."""
	found = rows().get(name, [])
	assert len(found) == 1, f"{name} has {len(found)} rows in the documentation: {found}"
	return found[0]


def says(name: str, word: str) -> bool:
	return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", " ".join(row_of(name))) is not None


# Links and names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_what_a_document_links_to_is_there(document):
	assert [path for path in targets(document) if not path.exists()] == []
	headings = [(path, anchor) for path, anchor in links(document) if anchor and path.suffix == ".md"]
	assert [f"{path.name}#{anchor}" for path, anchor in headings if anchor not in anchors(path)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_what_a_document_names_is_there(document):
	"""Files and folders, and tests as `file::test`. What is made at run time names no folder of the repository."""
	named = [
		code for code in CODE.findall(prose(document)) if IN_REPOSITORY.fullmatch(code.partition("::")[0])
	]
	assert [code for code in named if not is_there(*code.partition("::")[::2])] == []
	assert [text for text in NOT_IN_REPOSITORY if text in document.read_text()] == []


def is_there(path: str, test: str) -> bool:
	file = PROJECT / path
	return file.exists() and (not test or test in functions(file))


@cache
def functions(file: Path) -> dict[str, ast.FunctionDef]:
	"""The functions of a module by name."""
	tree = ast.parse(file.read_text())
	return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_a_missing_anchor_row_or_test_is_found(tmp_path):
	page = tmp_path / "page.md"
	page.write_text(
		"# A `b`: c\n\n## Same\n\n## Same\n\n[x](#same-1) ![y](z.png)\n```sh\n[not](a.link)\n```\n"
	)
	assert anchors(page) == {"a-b-c", "same", "same-1"}
	assert links(page) == [(page, "same-1"), (tmp_path / "z.png", "")]
	assert not is_there("tests/unit/test_docs.py", "test_nothing_of_this_name")
	with pytest.raises(AssertionError, match="0 rows"):
		row_of("memora nothing")


# README


def test_readme_is_short_and_leads_to_every_page():
	text = README.read_text()
	assert len(text.splitlines()) <= MOST_LINES
	assert [command for command in ("./dev demo", "./dev test") if f"\n{command} " not in text] == []
	assert {*DOCS.glob("*.md"), DOCS / "openapi.json"} <= targets(README)


# Tables


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_of_dev_is_documented(name):
	row_of(f"./dev {name}")


@pytest.mark.parametrize("name", sorted(commands.memora.commands))
def test_each_bench_command_is_documented_with_its_options(name):
	options = [
		text for p in commands.memora.commands[name].params for text in p.opts if text.startswith("--")
	]
	shown = [option for option in options if option != "--json"]  # which all of them take
	assert [option for option in shown if not says(f"memora {name}", option)] == []


def settings() -> list[dict]:
	file = PROJECT / "memora/memora/doctype/memora_settings/memora_settings.json"
	return [field for field in json.loads(file.read_text())["fields"] if "default" in field]


@pytest.mark.parametrize("field", settings(), ids=lambda field: field["fieldname"])
def test_each_setting_is_documented_with_default_and_range(field):
	_name, default, limits, meaning = row_of(field["fieldname"])
	low, high = RANGES[field["fieldname"]]
	assert (default, limits) == (field["default"], f"{low:,} to {high:,}")
	assert meaning


def test_each_key_of_the_sites_configuration_is_documented():
	sources = [path.read_text() for path in (PROJECT / "memora").rglob("*.py")]
	for key in {key for text in sources for key in re.findall(r"\"(srs_redis_\w+)\"", text)} - MODULES:
		row_of(key)


@pytest.mark.parametrize("check", doctor.CHECKS)
def test_each_check_of_the_doctor_is_documented(check):
	row_of(check)


def test_no_example_has_a_key_or_password_where_others_read_it():
	for file in (*DOCUMENTS, *(DOCS / "monitoring").iterdir()):
		assert not re.search(r"\bcredentials: |redis-cli -a |curl .*-u \w+:", file.read_text()), file


MODULES = {"srs_redis_manager"}  # a name of that kind which is no key


def endpoints() -> Iterator[tuple[str, list[str]]]:
	"""(dotted name, arguments) of each function that can be called over HTTP."""
	for folder in ("api", "www"):
		for file in sorted((PROJECT / "memora" / folder).glob("*.py")):
			for name, function in functions(file).items():
				if any("whitelist" in ast.unparse(decorator) for decorator in function.decorator_list):
					yield (
						f"memora.{folder}.{file.stem}.{name}",
						[argument.arg for argument in function.args.args],
					)


@pytest.mark.parametrize(("name", "arguments"), endpoints())
def test_each_endpoint_is_documented(name, arguments):
	cells = row_of(name)
	if name in openapi.find_endpoints() and "like `" not in cells[1]:
		assert [argument for argument in arguments if f"`{argument}`" not in cells[1]] == []


def errors() -> dict[str, type[Exception]]:
	"""Each that a reply may name in `exc_type`; a base of others is none."""
	own = {name: error for name, error in vars(exceptions).items() if isinstance(error, type)}
	bases = {base for error in own.values() for base in error.__bases__}
	raised = {name: error for name, error in own.items() if error not in bases}
	return raised | {error.__name__: error for error in openapi.FRAPPE_MEANS}


@pytest.mark.parametrize(("name", "error"), errors().items(), ids=errors())
def test_each_error_is_documented_with_its_status(name, error):
	assert row_of(name)[1] == str(error.http_status_code)


def test_each_card_and_report_of_the_desk_is_described():
	files = [
		*PROJECT.glob("memora/memora/number_card/*/*.json"),
		*PROJECT.glob("memora/memora/report/*/*.json"),
	]
	titles = [
		found.get("label") or found["report_name"] for found in (json.loads(f.read_text()) for f in files)
	]
	text = (DOCS / "figures.md").read_text()
	assert [title for title in titles if text.count(f"\n| {title} |") != 1] == []


def test_each_section_of_perf_is_described():
	titles = {title.lower().replace(" ", "-") for title in HEADING.findall(prose(DOCS / "benchmarks.md"))}
	assert {*SECTIONS} <= titles


# Pictures and help


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
