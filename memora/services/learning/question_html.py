"""The HTML that a question's texts may hold."""

from functools import lru_cache
from typing import Any, overload

from memora.services.learning.safe_html import clean_html
from memora.services.settings import get_settings

KEPT_TEXTS, KEPT_LENGTH = 4096, 2000  # at most some 20 MB in each process

HTML_KEYS = ("question", "answer", "explanation")


@overload
def clean(html: str) -> str: ...


@overload
def clean(html: None) -> None: ...


def clean(html: str | None) -> str | None:
	"""Returns the HTML without anything that could do harm where it is shown.

	Addresses stay if media_addresses allows them with the hosts in settings.
	"""
	if not html:
		return html
	hosts = get_settings().allowed_media_hosts
	if len(html) > KEPT_LENGTH:
		return clean_html(html, hosts)
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
	return clean_html(html, hosts)
