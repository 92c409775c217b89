"""Makes the parts of the learner's page: its first session, its texts, the addresses of its files, its headers."""

import json
import re
import secrets
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import frappe
from frappe import _
from werkzeug.wrappers import Request, Response

from memora.exceptions import RateLimitExceeded
from memora.services import site_time
from memora.services.learning import reviews
from memora.services.learning.learners import Sitting
from memora.services.learning.question_source import get_subjects
from memora.services.settings import get_settings

PUBLIC = Path(__file__).parent / "public"
MODULES, STYLE, ICON = "js/review", "css/review.css", "images/review.svg"
RIGHT_TO_LEFT = {"ar", "ckb", "dv", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi"}
FIRST_SESSION = 20  # questions


def page_data(sitting: Sitting, subject: str | None) -> dict[str, Any]:
	"""Returns the data that the page's scripts begin with.

	In Safe Mode `session` may be null; then `retry_after` has the seconds to wait.
	"""
	subjects = get_subjects()
	subject = subject if subject in subjects else None
	return {
		"learner": sitting.learner,
		"lang": frappe.local.lang,
		"dir": "rtl" if frappe.local.lang.split("-")[0] in RIGHT_TO_LEFT else "ltr",
		"time_zone": site_time.site_zone().key,
		"texts": texts(),
		"subjects": subjects,
		"subject": subject,
		"media_hosts": sorted(get_settings().allowed_media_hosts),
		**_first_session(sitting, subject),
	}


def _first_session(sitting: Sitting, subject: str | None) -> dict[str, Any]:
	learner, season, outdated = sitting
	try:
		session = reviews.read_reviews(
			learner, subject, FIRST_SESSION, preview=True, season=season, outdated=outdated
		)
		return {"session": session}
	except RateLimitExceeded:
		frappe.clear_messages()
		retry_after = frappe.flags.pop("retry_after_seconds")  # the page itself is not put off
		return {"session": None, "season": season and season.name, "retry_after": retry_after}


def as_script_json(value: Any) -> str:
	"""Returns JSON that is safe in a script element, whatever the value holds."""
	text = json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))
	return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


# Files


def assets() -> dict[str, Any]:
	"""Returns the addresses of the page's files. Each address has a digest of the file's content.

	Servers let browsers keep /assets for a year, so a new content needs a new address. Modules import each other by plain
	names, and the import map turns the names into addresses.
	"""
	modules = {url: versioned for url, versioned in _files() if url.endswith(".js")}
	return {
		"icon_url": dict(_files())[f"/assets/memora/{ICON}"],
		"style_url": dict(_files())[f"/assets/memora/{STYLE}"],
		"main_url": modules[f"/assets/memora/{MODULES}/main.js"],
		"module_urls": list(modules.values()),
		"import_map": _import_map(),
	}


def _import_map() -> str:
	return as_script_json({"imports": {url: to for url, to in _files() if url.endswith(".js")}})


@lru_cache(maxsize=1)
def _files() -> tuple[tuple[str, str], ...]:
	paths = [*sorted((PUBLIC / MODULES).glob("*.js")), PUBLIC / STYLE, PUBLIC / ICON]
	urls = [f"/assets/memora/{path.relative_to(PUBLIC).as_posix()}" for path in paths]
	digests = [sha256(path.read_bytes()).hexdigest()[:12] for path in paths]
	return tuple((url, f"{url}?v={digest}") for url, digest in zip(urls, digests, strict=True))


# Headers


def make_nonce() -> str:
	"""Returns the word by which this reply's own scripts and styles are known to the browser; see set_headers."""
	frappe.flags.memora_page_nonce = secrets.token_urlsafe(16)
	return frappe.flags.memora_page_nonce


def set_headers(response: Response | None, request: Request) -> None:
	"""At the end of a request: sets the headers of the learner's page, and of no other reply."""
	nonce = frappe.flags.memora_page_nonce
	if not response or not nonce:
		return
	response.headers["Content-Security-Policy"] = _policy(nonce, request.host)
	response.headers["Cache-Control"] = "no-store"
	response.headers["Referrer-Policy"] = "same-origin"
	response.headers["X-Content-Type-Options"] = "nosniff"


def _policy(nonce: str, host: str) -> str:
	"""Returns a policy under which only the app's own scripts and styles run, whatever a question or a file holds.

	`'self'` would let an uploaded file run as a script, and let a picture call any address of the site.
	"""
	hosts = " ".join(f"https://{name}" for name in sorted(get_settings().allowed_media_hosts))
	files = " ".join(f"{name}:*/files/" for name in _names_of_site(host))
	icon = " ".join(f"{name}:*/assets/memora/{ICON}" for name in _names_of_site(host))
	rules = {
		"default-src": "'none'",
		"script-src": f"'nonce-{nonce}'",
		"style-src": f"'nonce-{nonce}'",
		"img-src": f"{files} {icon} {hosts}".strip(),
		"media-src": f"{files} {hosts}".strip(),
		"connect-src": "'self'",
		"base-uri": "'none'",
		"form-action": "'none'",
		"frame-ancestors": "'self'",
	}
	return "; ".join(f"{name} {sources}" for name, sources in rules.items())


def _names_of_site(host: str) -> list[str]:
	"""Returns the names of hosts under which this page may be open, without ports: a proxy may have another port."""
	names = {host.partition(":")[0], urlsplit(frappe.utils.get_url()).hostname or ""}
	return sorted(name for name in names if re.fullmatch(r"[A-Za-z0-9.-]+", name))


# Texts


def texts() -> dict[str, str]:
	"""Returns the page's texts in the language of the request. The browser writes numbers and dates.

	Short words have a context: without one, they would share their translations with Frappe's words.
	"""
	return {
		"title": _("Reviews", context="Learner"),
		"saved": _("Saved", context="Learner"),
		"waiting": _("Answers waiting: {0}"),
		"undo": _("Undo", context="Learner"),
		"subject": _("Subject", context="Learner"),
		"all_subjects": _("All subjects"),
		"progress": _("{0} of {1}", context="Learner"),
		"progress_label": _("Progress", context="Learner"),
		"choices": _("Choose an answer"),
		"show_answer": _("Show answer"),
		"how_well": _("How well did you know it?"),
		"again": _("Again", context="Learner"),
		"hard": _("Hard", context="Learner"),
		"good": _("Good", context="Learner"),
		"easy": _("Easy", context="Learner"),
		"next": _("Next", context="Learner"),
		"right": _("Right!", context="Learner"),
		"wrong": _("Not quite."),
		"right_answer": _("Right answer"),
		"your_answer": _("Your answer"),
		"practice": _("Once more"),
		"new": _("New", context="Learner"),
		"well_done": _("Well done!"),
		"questions_answered": _("Questions answered"),
		"right_at_once": _("Right first time"),
		"go_on": _("Go on", context="Learner"),
		"go_on_with": _("Go on: {0} more"),
		"learn_new": _("Learn something new"),
		"caught_up": _("All caught up!"),
		"next_at": _("Next reviews: {0}"),
		"day_and_time": _("{0} at {1}", context="Learner"),
		"nothing_yet": _("Nothing to review yet."),
		"busy": _("A short break"),
		"busy_more": _("Please wait a moment. The page continues by itself. Your answers are safe."),
		"degraded": _("You get fewer questions at a time right now. Your answers are safe."),
		"no_network": _("No connection"),
		"no_network_more": _(
			"Your answers are kept on this device. The page continues when you are online again."
		),
		"try_again": _("Try again", context="Learner"),
		"signed_out": _("Please sign in again"),
		"signed_out_more": _("Your answers are kept on this device. Sign in to send them."),
		"sign_in_to_save": _("Sign in to save your answers."),
		"sign_in": _("Sign in", context="Learner"),
		"not_accepted": _("Answers that could not be saved: {0}."),
		"season_over": _("The season they belong to is over."),
		"repeated": _("You have answered this question today already. This time counts as practice."),
		"dismiss": _("OK", context="Learner"),
		"no_season": _("No lessons right now"),
		"no_script": _("Please turn on JavaScript to learn."),
	}
