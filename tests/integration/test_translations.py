"""Arabic is complete: each text of the app is translated, and each text that a person reads is one."""

import re
from collections import Counter
from collections.abc import Iterable

import pytest
from frappe.translate import get_all_translations

from tests.integration import bare_texts, texts

LANGUAGE = "ar"
PLACEHOLDER = re.compile(r"\{\d*\}|<[^>]+>")


@pytest.fixture(scope="module")
def found(site) -> set[texts.Text]:
	return texts.of_app()


@pytest.fixture(scope="module")
def frappes(site) -> set[texts.Text]:
	return texts.of_frappe(LANGUAGE)


def assert_none(found: Iterable[texts.Text]) -> None:
	"""Names each that there is."""
	named = sorted(map(str, found))
	assert not named, "\n".join(named)


def test_every_text_is_translated(found, frappes):
	known = frappes | {text for text, _translation in texts.rows(LANGUAGE)}
	assert len(found) > 500
	assert_none(text for text in found if not {text, text.plain} & known)


def test_no_line_is_stale(found):
	used = found | {text.plain for text in found}
	assert_none(text for text, _translation in texts.rows(LANGUAGE) if text not in used)


def test_no_line_is_there_twice():
	counts = Counter(text for text, _translation in texts.rows(LANGUAGE))
	assert_none(text for text, count in counts.items() if count > 1)


def test_no_line_overwrites_frappes_own(frappes):
	"""A line without context would be read in all of Frappe: what Frappe translates in its way needs a context."""
	rows = texts.rows(LANGUAGE)
	assert_none(text for text, _translation in rows if not text.context and text in frappes)


def test_placeholders_are_kept():
	"""Returns the placeholders and tags of a text: what stands between words and is no word."""

	def kept(text: str) -> Counter:
		return Counter(PLACEHOLDER.findall(text))

	rows = texts.rows(LANGUAGE)
	assert_none(text for text, translation in rows if kept(text.source) != kept(translation))


def test_values_stand_by_themselves():
	"""After Arabic letters "2026-11-22" would be shown as 22-11-2026, and "2024-2025" the other way round. So a value
	stands between U+2068 and U+2069, but for one in a command, where Latin letters are before it."""
	rows = texts.rows(LANGUAGE)
	bare = re.compile(r"(?:^|[^ -~])[^A-Za-z\u0080-\U0010ffff]*(?<!\u2068)\{\d\}")
	assert_none(text for text, translation in rows if bare.search(translation))


def test_no_text_begins_or_ends_with_a_blank(found):
	"""Frappe looks for it without, and finds nothing."""
	assert_none(text for text in found if text.source != text.source.strip())


def test_what_people_read_can_be_translated():
	assert list(bare_texts.in_folder(texts.PACKAGE)) == []


@pytest.mark.parametrize(
	("find", "code"),
	[
		(bare_texts.in_python, 'frappe.throw("No such season")'),
		(bare_texts.in_python, 'raise UnknownSeason(f"No season {name}")'),
		(bare_texts.in_python, 'frappe.throw(_("Season {0}").format(name) + " is over")'),
		(bare_texts.in_python, '_refuse("No season {0}".format(name))'),
		(bare_texts.in_script, 'frm.set_intro("Being archived")'),
		(bare_texts.in_script, "frappe.ui.Dialog({ title: `<b>Archive</b>` })"),
		(bare_texts.in_page, "<p>{{ texts.hint }} please</p>"),
	],
)
def test_a_bare_text_is_found(find, code):
	assert len(list(find(code))) == 1


@pytest.mark.parametrize(
	("find", "code"),
	[
		(bare_texts.in_python, 'frappe.throw(_("No season {0}").format(", ".join(names)), UnknownSeason)'),
		(bare_texts.in_python, 'raise JobFailed(result["error"])'),
		(bare_texts.in_script, 'frm.set_intro(__("Being archived")); add_section(`<div class="curve">`)'),
		(bare_texts.in_page, '<p title="{{ texts.hint | e }}">{{ texts.more }}</p><script>let a</script>'),
	],
)
def test_what_is_no_bare_text_is_not(find, code):
	assert list(find(code)) == []


def test_frappes_own_texts_are_translated_on_a_bench_of_dev(frappes):
	"""Newer ones come as sources that ./dev setup compiles."""
	assert get_all_translations("ar")["Save"] == "حفظ"
