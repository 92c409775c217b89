"""Addresses of Redis are shown without passwords, also where nobody can read them."""

import pytest

from memora.services.cache import addresses
from memora.services.cache.addresses import InvalidConfiguration

READABLE = {
	"redis://localhost:13100": "redis://localhost:13100",
	"redis://[::1]:6379/0?socket_timeout=1": "redis://[::1]:6379/0",
	"redis://user:secret@127.0.0.1:1/0": "redis://user:password@127.0.0.1:1/0",
	"redis://:a%2Fsecret@h:1": "redis://:password@h:1",
	"redis://:a@secret@h:1/0": "redis://:password@h:1/0",
	"redis://h:1/0?password=s@ecret": "redis://h:1/0",
	"rediss://user@h.example": "rediss://user@h.example",
	"unix://user@/run/redis.sock?password=secret": "unix:///run/redis.sock",
}
UNREADABLE = {
	"redis://:se/cret@h:1/0": "redis://:password@h:1/0",
	"redis://:sec?ret@h:1/0": "redis://:password@h:1/0",
	"rediss://u:sec#ret@h.example:1": "rediss://u:password@h.example:1",
	"secret@h:1": "…",
	"http://secret!": "http://…",
}


@pytest.mark.parametrize(("url", "shown"), {**READABLE, **UNREADABLE}.items())
def test_what_is_shown(url, shown):
	assert addresses.shown(url) == shown


@pytest.mark.parametrize("url", READABLE)
def test_what_can_be_read(url):
	assert addresses.readable(url, "redis_queue") == url


@pytest.mark.parametrize("url", [*UNREADABLE, "redis://:6379/0", "redis://h:99999"])
def test_what_can_not_be_read_is_named_and_not_quoted(url):
	with pytest.raises(InvalidConfiguration, match="redis_queue must be redis://") as caught:
		addresses.readable(url, "redis_queue")
	assert "secret" not in str(caught.value)
