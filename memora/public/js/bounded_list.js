// Lists of the big tables show no counts over all rows: see bounded_lists.py.

for (const doctype of ["Player Memory Tracker", "Player Review Log", "Archived Memory Tracker"]) {
	frappe.listview_settings[doctype] = {
		hide_name_column: true,

		onload(listview) {
			listview.page.sidebar.find(".list-group-by").closest(".sidebar-section").remove();
		},
	};
}
