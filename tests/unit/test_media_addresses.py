"""Where pictures, sounds and links of a question may lead; and that the learner's page has the same lists."""

import re

import pytest

from memora.services.learning import safe_html
from memora.services.learning.media_addresses import is_host, is_link_allowed, is_media_allowed, parse_hosts
from tests.unit.house import PROJECT

HOSTS = frozenset({"media.example.com", "media.example.com:8443"})
SANITISE = (PROJECT / "memora/public/js/review/sanitise.js").read_text()

FILES = ["/files/a.png", "/files/my picture.png", "/files/الخريطة.png", "/files/folder/a%20b.mp3"]
CALLS = [
	"/api/method/logout",
	"api/method/logout",
	"?cmd=logout",
	"",
	"/private/files/a.png",
	"/files",
	"/files/",
	"/files/../api/method/logout",
	"/files/%2e%2e/api/method/logout",
	"/files/..%2fapi/method/logout",
	"/files/..%5capi/method/logout",
	"/files/.. /api/method/logout",
	"/files/./a.png",
	"/files//evil.example/a.png",
	"/files/a.png?cmd=logout",
	"/files/a.png#x",
	"/fil\tes/a.png",
	"/\\evil.example/files/a.png",
	"//evil.example/files/a.png",
	"\\\\evil.example/files/a.png",
	"data:image/png;base64,AAAA",
	"blob:x",
	"javascript:alert(1)",
	"file:///files/a.png",
]
STRANGERS = [
	"https://evil.example/a.png",
	"https://media.example.com.evil.example/a.png",
	"https://media.example.com:9443/a.png",
	"http://media.example.com/a.png",
	"https:media.example.com/a.png",
]


@pytest.mark.parametrize("address", FILES)
def test_public_files_of_this_site_are_shown(address):
	assert is_media_allowed(address)


@pytest.mark.parametrize("address", [*CALLS, *STRANGERS])
def test_nothing_else_of_this_site_and_no_stranger_is_called(address):
	assert not is_media_allowed(address, HOSTS)


@pytest.mark.parametrize(
	"address",
	[
		"https://media.example.com/a.png?token=1",
		"HTTPS://Media.Example.Com/a.png",
		"https://media.example.com:443/a.png",
		"https://media.example.com:8443/a.mp3",
	],
)
def test_hosts_that_are_named_are_asked(address):
	assert is_media_allowed(address, HOSTS)
	assert not is_media_allowed(address)


@pytest.mark.parametrize(
	"address",
	[
		"https://a:b@media.example.com/",
		"https://media.example.com\\@evil/",
		"https://media.example.com:99999/",
		"https://[media.example.com/",
		"https:///a.png",
	],
)
def test_an_address_that_hides_its_host_is_refused(address):
	assert not is_media_allowed(address, HOSTS)
	assert not is_link_allowed(address)


@pytest.mark.parametrize("address", ["https://example.com/a?b", "http://example.com", *FILES])
def test_links_lead_to_other_sites_and_to_public_files(address):
	assert is_link_allowed(address)


@pytest.mark.parametrize("address", [a for a in CALLS if a != "\\\\evil.example/files/a.png"])
def test_links_call_nothing_of_this_site(address):
	assert not is_link_allowed(address)


def test_hosts_are_read_from_a_text():
	text = " Media.example.com\nb.example.org:8443, media.example.com\n\n"
	assert parse_hosts(text) == ["media.example.com", "b.example.org:8443"]


@pytest.mark.parametrize(
	"name",
	[
		"*",
		"*.example.com",
		"https://example.com",
		"example.com/",
		"a b",
		"example",
		"-a.com",
		"a.com:0",
		"'none'",
	],
)
def test_what_is_no_host(name):
	assert not is_host(name)


def words(name: str) -> set[str]:
	"""Returns the words of a list in sanitise.js."""
	listed = re.search(rf"const {name} = new Set\((.*?)\.split", SANITISE, re.DOTALL)
	assert listed
	return set(" ".join(re.findall(r'"(.*?)"', listed[1])).split())


def test_the_learners_page_has_the_same_lists():
	attributes = {name for names in safe_html.ATTRIBUTES.values() for name in names}
	assert words("TAGS") == safe_html.TAGS
	assert words("DROPPED") == safe_html.DROPPED
	assert words("ATTRIBUTES") == attributes - {"controls", "href", "src"}  # which it sets itself
