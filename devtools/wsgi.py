"""What gunicorn serves: Frappe with its static files, pinned to one site whatever the Host header says.

The only module here that needs Frappe; it is imported by the bench's own Python, in `sites/`.
"""

import os

import frappe.app
from frappe.middlewares import StaticDataMiddleware
from werkzeug.middleware.shared_data import SharedDataMiddleware

frappe.app._site = os.environ["MEMORA_SITE"]
_sites = os.path.abspath(".")

application = StaticDataMiddleware(
	SharedDataMiddleware(frappe.app.application, {"/assets": os.path.join(_sites, "assets")}),
	{"/files": _sites},
)
