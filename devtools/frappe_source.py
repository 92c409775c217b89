"""Fetches Frappe: from where MEMORA_FRAPPE says, else from the official repository, else the renamed copy on PyPI."""

import json
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path

from devtools import pythons, shell
from devtools.paths import Bench
from devtools.report import Failure, say, step

OFFICIAL_URL = "https://github.com/frappe/frappe"
SECONDS_TO_REACH_GITHUB = 5

# Frappe 15.0.0-dev of August 2023 under another name. The sdist is taken, because a wheel has no pyproject.toml.
COPY = "criscostack==1.0.0"
COPY_VERSION = "15.0.0-dev"
COPY_SHA256 = "82f55713e9ee191d5a6c8eaba215ae3da4ab9ee20d8eaa27f501351ee6345478"
# The order matters: longer names come first
RENAMES = [
	(re.compile(old), new)
	for old, new in (
		(b"criscostack", b"frappe"),
		(b"Criscostack", b"Frappe"),
		(b"CRISCOSTACK", b"FRAPPE"),
		(b"Criscoerp", b"ERPNext"),
		(b"criscoerp", b"erpnext"),
		(b"Crisco", b"Frappe"),
		# in the translations, "brik" is also a part of words
		(rb"(?<![a-z])brik(?![a-z])", b"bench"),
	)
]
VERSION = re.compile(r'^__version__ = "([\w.+-]+)"', re.MULTILINE)
BINARY = re.compile(rb"\0")

# Requirements that Frappe pins to GitHub, and what they are called on PyPI and npm
PYTHON_PIN = re.compile(r'"([\w.-]+) @ git\+https://github\.com/[^"]*"')
NODE_PIN = re.compile(r'("air-datepicker"): "(?:github:|git\+https://github\.com/)[^"]*"')
NODE_REPLACEMENT = r'\1: "2.2.3"'


@dataclass(frozen=True)
class Source:
	kind: str  # "checkout", "git" or "pypi"
	where: str  # a path, a URL or a requirement
	ref: str = ""

	@property
	def needs_pip(self) -> bool:
		"""Whether pip downloads it, so that the bench's environment must be there first."""
		return self.kind == "pypi"

	def __str__(self) -> str:
		return f"{self.where} at {self.ref}" if self.ref else self.where


def choose(bench: Bench) -> Source:
	"""Returns where the bench's Frappe comes from: as it was recorded, as MEMORA_FRAPPE says, or as can be reached."""
	have, wanted = _recorded(bench), _from_environment()
	if have and wanted and have != wanted:
		raise Failure(
			f"{bench.root} was made with Frappe from {have}, and MEMORA_FRAPPE now names {wanted}.\n"
			"Run ./dev clean first. Or keep both: set MEMORA_BENCH to another directory."
		)
	if have:
		return have
	source, why = (wanted, "MEMORA_FRAPPE names it") if wanted else _reachable()
	say(f"           Frappe: {source}, because {why}")
	return source


def ensure(bench: Bench, source: Source) -> None:
	"""Fetches Frappe, unless it is there."""
	if not _recorded(bench):
		with step("Fetching Frappe"):
			_fetch(bench, source)


def version(bench: Bench) -> str:
	"""Returns the version of the bench's Frappe, such as "15.55.1". Before it is fetched, that of the copy on PyPI."""
	path = bench.frappe / "frappe" / "__init__.py"
	return VERSION.findall(path.read_text())[0] if path.is_file() else COPY_VERSION


def major_version(bench: Bench) -> int:
	return int(version(bench).partition(".")[0])


def _recorded(bench: Bench) -> Source | None:
	path = bench.frappe / ".memora-source.json"
	return Source(**json.loads(path.read_text())) if path.is_file() else None


def _from_environment() -> Source | None:
	value = os.environ.get("MEMORA_FRAPPE")
	if not value:
		return None
	if Path(value).is_dir():
		return Source("checkout", str(Path(value).resolve()))
	if "://" not in value and not value.startswith("git@"):
		raise Failure(f"MEMORA_FRAPPE={value} is neither a directory nor a git URL")
	url, _, ref = value.rpartition("@")
	# the @ in git@host or user:password@host does not begin a ref
	return Source("git", url, ref) if url and ":" not in ref else Source("git", value)


def _reachable() -> tuple[Source, str]:
	if github_answers():
		branch = f"version-{pythons.preferred_frappe()}"
		return Source("git", OFFICIAL_URL, branch), "the official repository can be reached"
	return Source("pypi", COPY), f"{OFFICIAL_URL} did not answer within {SECONDS_TO_REACH_GITHUB} s"


def github_answers() -> bool:
	command = ["git", "ls-remote", "--exit-code", OFFICIAL_URL, "HEAD"]
	env = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
	try:
		done = subprocess.run(command, env=env, capture_output=True, timeout=SECONDS_TO_REACH_GITHUB)
	except subprocess.TimeoutExpired:
		return False
	return done.returncode == 0


def _fetch(bench: Bench, source: Source) -> None:
	"""Fetches Frappe into a folder beside its place, and moves it when complete. So a half-fetched Frappe is never used."""
	part = bench.root / "frappe.part"
	for old in (part, bench.frappe):
		shutil.rmtree(old, ignore_errors=True)
	{"checkout": _copy, "git": _clone, "pypi": _unpack}[source.kind](bench, source, part)
	if source.kind != "pypi" and not github_answers():
		_replace_pins(part)
	(part / ".memora-source.json").write_text(json.dumps(asdict(source)))
	part.rename(bench.frappe)


def _copy(bench: Bench, source: Source, part: Path) -> None:
	"""Copies the working tree as it is, uncommitted changes included. The checkout itself stays untouched."""
	if not (Path(source.where) / "frappe" / "__init__.py").is_file():
		raise Failure(f"{source.where} is not a checkout of Frappe")
	ignore = shutil.ignore_patterns(".git", "node_modules", "*.pyc")
	shutil.copytree(source.where, part, symlinks=True, ignore=ignore)


def _clone(bench: Bench, source: Source, part: Path) -> None:
	log = bench.log("frappe")
	branch = ["--branch", source.ref] if source.ref else []
	if not _looks_like_commit(source.ref):
		shell.run(["git", "clone", "--depth", "1", *branch, source.where, part], log)
		return
	shell.run(["git", "clone", source.where, part], log)
	shell.run(["git", "checkout", source.ref], log, cwd=part)


def _looks_like_commit(ref: str) -> bool:
	return bool(re.fullmatch(r"[0-9a-f]{7,40}", ref))


def _unpack(bench: Bench, source: Source, part: Path) -> None:
	download = bench.root / "download"
	shutil.rmtree(download, ignore_errors=True)
	download.mkdir()
	requirement = download / "requirements.txt"
	requirement.write_text(f"{source.where} --hash=sha256:{COPY_SHA256}\n")
	options = ["--no-deps", "--no-binary", "criscostack", "--require-hashes"]
	where: shell.Arguments = ["-d", download, "-r", requirement]
	pip: shell.Arguments = [bench.python, "-m", "pip", "download", *options, *where]
	shell.run(pip, bench.log("frappe"))
	with tarfile.open(next(download.glob("*.tar.gz"))) as archive:
		archive.extractall(download)
	tree = next(path for path in download.iterdir() if path.is_dir())
	_rename(tree)
	tree.rename(part)
	shutil.rmtree(download)


def _rename(tree: Path) -> None:
	"""Gives Frappe its name back, in texts and in file names. The deepest paths come first, so that all paths stay valid."""
	for path in sorted(tree.rglob("*"), key=lambda path: -len(path.parts)):
		if path.is_file():
			_rename_text(path)
		name = _renamed(os.fsencode(path.name))
		path.rename(path.with_name(os.fsdecode(name)))


def _rename_text(path: Path) -> None:
	old = path.read_bytes()
	new = old if BINARY.search(old) else _renamed(old)
	if new != old:
		path.write_bytes(new)


def _renamed(text: bytes) -> bytes:
	for old, new in RENAMES:
		text = old.sub(new, text)
	return text


def _replace_pins(part: Path) -> None:
	_replace(part / "pyproject.toml", PYTHON_PIN, r'"\1"')
	_replace(part / "package.json", NODE_PIN, NODE_REPLACEMENT)


def _replace(path: Path, pattern: re.Pattern[str], replacement: str) -> None:
	if path.is_file():
		path.write_text(pattern.sub(replacement, path.read_text()))
