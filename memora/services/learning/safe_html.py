"""Which HTML is safe to show to a learner. Pure: no frappe, so that what has no site can clean, too."""

from collections.abc import Callable

import nh3

from memora.services.learning.media_addresses import is_link_allowed, is_media_allowed

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

Rewrite = Callable[[str, str, str], str | None]


def clean_html(html: str, hosts: frozenset[str], rewrite: Rewrite | None = None) -> str:
	"""Returns the HTML without anything that could do harm where it is shown.

	Addresses stay if media_addresses allows them with these hosts. `rewrite`, if given, is first called with tag,
	attribute and value. It returns the new value, or None to drop the attribute. nh3 drops what it raises.
	"""

	def keep(tag: str, attribute: str, value: str) -> str | None:
		new = rewrite(tag, attribute, value) if rewrite else value
		if new is None or attribute not in ("src", "href"):
			return new
		if attribute == "href":
			return new if is_link_allowed(new.strip()) else None
		return new if is_media_allowed(new.strip(), hosts) else None

	return nh3.clean(
		html,
		tags=TAGS,
		clean_content_tags=DROPPED,
		attributes=ATTRIBUTES,
		attribute_filter=keep,
		link_rel=LINKS_LEAD_OUTSIDE,
		url_schemes={"http", "https"},
	)
