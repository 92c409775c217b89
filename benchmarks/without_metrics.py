"""The app that gunicorn serves as the floor of `./dev perf metrics`: Frappe without the hooks that time requests."""

from typing import Any

import frappe

from devtools.wsgi import application  # noqa: F401 (gunicorn looks it up by name)

TIMING = {"memora.api.utils.start_clock"}  # what has not begun is not observed either

_get_hooks = frappe.get_hooks


def _without_timing(hook: str | None = None, *args: Any, **options: Any) -> Any:
	hooks = _get_hooks(hook, *args, **options)
	if hook != "before_request":
		return hooks
	return [name for name in hooks if name not in TIMING]


frappe.get_hooks = _without_timing
