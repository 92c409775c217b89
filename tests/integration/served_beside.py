"""The tests' app on a site where another app has a hook after_request, too: it fails where a request asks it to."""

from typing import Any

from frappe.tests.utils import patch_hooks

from memora import hooks
from tests.integration.served import application as application

FAIL = {"X-Other-App": "fail"}


def fail(response: Any, request: Any) -> None:
	if request.headers.get("X-Other-App") == "fail":
		raise RuntimeError("the hook of another app fails")


beside = patch_hooks({"after_request": [f"{__name__}.fail", *hooks.after_request]})
beside.__enter__()  # for as long as the process lives
