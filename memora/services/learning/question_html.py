"""The HTML that a question's texts may hold."""

from collections.abc import Callable
from copy import deepcopy
from typing import overload

import nh3

# What nh3 allows by default, what the desk's editor and right-to-left texts need, and audio.
TAGS = nh3.ALLOWED_TAGS | {"audio"}
ATTRIBUTES = deepcopy(nh3.ALLOWED_ATTRIBUTES) | {
	"*": {"class", "dir", "lang"},
	"audio": {"src", "controls"},
}

Rewrite = Callable[[str, str, str], str | None]


@overload
def clean(html: str, rewrite: Rewrite | None = None) -> str: ...


@overload
def clean(html: None, rewrite: Rewrite | None = None) -> None: ...


def clean(html: str | None, rewrite: Rewrite | None = None) -> str | None:
	"""Returns the HTML without anything that could do harm on a learner's page.

	`rewrite`, if given, is called with tag, attribute and value. It returns the new value, or None to drop
	the attribute.
	"""
	return html and nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES, attribute_filter=rewrite)
