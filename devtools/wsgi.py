"""The app that gunicorn serves: Frappe with its static files, for one site whatever the Host header says.

The bench's own Python imports this module, in `sites/`.
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
