"""The HTML that a question's texts may hold."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, overload

import nh3

from memora.services.learning.media_addresses import CONFUSING, is_link_allowed, is_media_allowed
from memora.services.settings import get_settings

# The elements and attributes that a text needs. None of them reaches beyond the text: there is no class, no style, no id,
# no form. memora/public/js/review/sanitise.js has the same lists.
TAGS = set(
	"a abbr b bdi bdo blockquote br caption cite code col colgroup dd del dfn div dl dt em figcaption figure h1 h2 h3 "
	"h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp small span strong sub sup table tbody td tfoot th "
	"thead time tr tt u ul var wbr audio".split()
)
# These elements go with their text, which is not for readers.
DROPPED = set("script style template noscript iframe object embed svg math title textarea select".split())
ATTRIBUTES = {
	"*": {"dir", "lang", "title"},
	"a": {"href"},
	"audio": {"controls", "src"},
	"col": {"span"},
	"colgroup": {"span"},
	"img": {"alt", "height", "src", "width"},
	"ol": {"start"},
	"td": {"colspan", "rowspan"},
	"th": {"colspan", "rowspan", "scope"},
	"time": {"datetime"},
}
LINKS_LEAD_OUTSIDE = "noopener noreferrer nofollow"
KEPT_TEXTS, KEPT_LENGTH = 4096, 2000  # at most some 20 MB in each process

HTML_KEYS = ("question", "answer", "explanation")

Rewrite = Callable[[str, str, str], str | None]


@overload
def clean(html: str, rewrite: Rewrite | None = None) -> str: ...


@overload
def clean(html: None, rewrite: Rewrite | None = None) -> None: ...


def clean(html: str | None, rewrite: Rewrite | None = None) -> str | None:
	"""Returns the HTML without anything that could do harm where it is shown.

	Addresses stay if media_addresses allows them. `rewrite`, if given, is called with tag, attribute and value. It
	returns the new value, or None to drop the attribute; a name of a file that it returns stays, for a later rewrite.
	"""
	if not html:
		return html
	hosts = get_settings().allowed_media_hosts
	if rewrite or len(html) > KEPT_LENGTH:
		return _clean(html, hosts, rewrite)
	return _clean_known(html, hosts)


def clean_content(content: dict[str, Any]) -> dict[str, Any]:
	"""Returns a question's content with clean HTML under the keys that the learner's page shows as HTML.

	A question source may deliver any HTML, and a question may be older than a change of the rules.
	"""
	texts = {key: clean(content[key]) for key in HTML_KEYS if isinstance(content.get(key), str)}
	options = content.get("options")
	if isinstance(options, list):
		texts["options"] = [_clean_option(option) for option in options]
	return {**content, **texts}


def _clean_option(option: Any) -> Any:
	if isinstance(option, dict) and isinstance(option.get("option"), str):
		return {**option, "option": clean(option["option"])}
	return option


@lru_cache(maxsize=KEPT_TEXTS)
def _clean_known(html: str, hosts: frozenset[str]) -> str:
	return _clean(html, hosts, None)


def _clean(html: str, hosts: frozenset[str], rewrite: Rewrite | None) -> str:
	def keep(tag: str, attribute: str, value: str) -> str | None:
		new = rewrite(tag, attribute, value) if rewrite else value
		if new is None or attribute not in ("src", "href"):
			return new
		if attribute == "href":
			return new if is_link_allowed(new.strip()) else None
		is_known = is_media_allowed(new.strip(), hosts) or (rewrite and _is_file_name(new))
		return new if is_known else None

	return nh3.clean(
		html,
		tags=TAGS,
		clean_content_tags=DROPPED,
		attributes=ATTRIBUTES,
		attribute_filter=keep,
		link_rel=LINKS_LEAD_OUTSIDE,
		url_schemes={"http", "https"},
	)


def _is_file_name(address: str) -> bool:
	"""Says whether an address is a bare name, such as Anki gives the pictures of a deck."""
	return not CONFUSING.search(address) and "/" not in address and ":" not in address
