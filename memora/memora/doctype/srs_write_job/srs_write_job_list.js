frappe.listview_settings["SRS Write Job"] = {
	hide_name_column: true,

	onload(listview) {
		// the sidebar's filters and the sort selector need SQL, and this DocType has no table
		listview.page.sidebar.hide();
		listview.sort_selector.wrapper.hide();
		listview.page.add_actions_menu_item(__("Retry"), () => retry_checked(listview));
	},
};

async function retry_checked(listview) {
	let queued = 0;
	for (const name of listview.get_checked_items(true)) {
		// if a job can't be retried, Frappe shows why; the other jobs are retried
		await frappe.xcall("memora.api.srs.retry_write_job", { name }).then(
			() => queued++,
			() => {},
		);
	}
	if (queued) frappe.show_alert({ message: __("{0} queued again", [queued]), indicator: "green" });
	listview.clear_checked_items();
	listview.refresh();
}
