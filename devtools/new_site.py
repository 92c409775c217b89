"""Makes a Frappe site that is ready for its first request: without the set-up wizard, and with a time zone.

The bench's Python runs it in `sites/`: python -m devtools.new_site <site> <time zone> <options of bench new-site>.
One process does all the work, because each process takes a second to import Frappe.
"""

import sys

import frappe
from frappe.commands.site import new_site
from frappe.desk.page.setup_wizard.setup_wizard import disable_future_access


def main(site: str, time_zone: str, *options: str) -> None:
	new_site.main([site, *options], standalone_mode=False, obj={})
	frappe.init(site=site)
	frappe.connect()
	if frappe.get_meta("Installed Application").has_field("is_setup_complete"):  # since Frappe 16
		frappe.db.set_value("Installed Application", {"app_name": "frappe"}, "is_setup_complete", 1)
	disable_future_access()
	frappe.db.set_single_value("System Settings", "time_zone", time_zone)
	frappe.db.commit()
	frappe.destroy()


if __name__ == "__main__":
	main(*sys.argv[1:])
