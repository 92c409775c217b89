"""The tests' app in web processes whose clock is ahead; see clock_ahead.c. Their parent's is not: it looks at ages of files."""

import os
from collections.abc import Iterable
from typing import Any

from tests.integration.served import application as served

AHEAD_SECONDS = 3600


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
	os.environ["CLOCK_AHEAD_SECONDS"] = str(AHEAD_SECONDS)
	return served(environ, start_response)
