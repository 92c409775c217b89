"""The app that the tests' gunicorn serves: it follows a change of configuration at once, as Frappe 15 does by itself."""

from collections.abc import Iterable
from typing import Any

from devtools.wsgi import application as served
from tests.frappe_versions import forget_configuration


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
	forget_configuration()
	return served(environ, start_response)
