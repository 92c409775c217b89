"""What the versions of Frappe do differently, for tests to ask. Looked for, not told from version numbers."""

import inspect
from contextlib import suppress
from importlib.util import find_spec

import frappe
import frappe.api
from click.testing import CliRunner
from frappe.model.document import Document
from frappe.utils import background_jobs, get_absolute_url, scheduler
from werkzeug.test import EnvironBuilder

# "/app" in Frappe 15; "/desk" in Frappe 16, which sends from /app to there.
DESK = "/" + get_absolute_url("User", "Guest").split("/")[1]

# Frappe 16 begins with a desktop of icons, and shows the links of the app that is open in a sidebar.
HAS_SIDEBARS = find_spec("frappe.desk.doctype.workspace_sidebar") is not None

HAS_SECOND_API = hasattr(frappe.api, "ApiVersion")

# Frappe 16 comes with Click 8.3, which keeps stderr apart without being told.
STDERR_APART = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}

# A site on which nobody signs in for days runs its scheduled jobs once a day; from Frappe 16 on, on Frappe Cloud only.
SITES_FALL_DORMANT = "frappecloud" not in inspect.getsource(scheduler.is_dormant)

# Frappe 16 takes no more jobs for a queue in which 500 wait, and 50 for each site of the bench.
QUEUES_ARE_BOUNDED = hasattr(frappe, "QueueOverloaded")

# A pool of Frappe 16 can have workers that do one job after the other in the same process.
HAS_WORKERS_WITHOUT_FORKS = hasattr(background_jobs, "FrappeWorkerNoFork")


def keeps_log(job: Document) -> bool:
	"""Says whether the scheduler logs each run of a job. Frappe 16 does so only where the job has create_log."""
	return job.get("create_log") != 0


def reads(body: bytes) -> bool:
	"""Says whether Frappe hands a JSON body to an endpoint. Frappe 16 refuses NaN, and halves of characters."""
	from frappe.app import make_form_dict

	request = EnvironBuilder(method="POST", data=body, content_type="application/json").get_request()
	try:
		make_form_dict(request)
	except (ValueError, frappe.ValidationError):
		frappe.clear_messages()
		return False
	return True


def forget_configuration() -> None:
	"""Has this process read the configuration anew. Frappe 16 keeps it for a minute, for requests."""
	with suppress(ImportError):
		from frappe.config import clear_site_config_cache

		clear_site_config_cache()
