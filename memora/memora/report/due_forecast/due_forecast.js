frappe.query_reports["Due Forecast"] = {
	filters: [{ fieldname: "season", label: __("Season"), fieldtype: "Link", options: "Game Subscription Season" }],

	onload(report) {
		memora.draw_plain_axes(report);
		report.page.add_inner_button(__("Compute Now"), () => compute(report));
	},
};

// Starts a job, because a forecast takes some seconds in a large season. Then the report shows the new forecast.
async function compute(report) {
	const season =
		report.get_filter_value("season") ||
		(await frappe.db.get_value("Game Subscription Season", { is_active: 1 }, "name")).message.name;
	if (!season) {
		frappe.msgprint(__("No season is active. Choose a season."));
		return;
	}
	const job = await frappe.xcall("memora.api.srs.compute_due_forecast", { season });
	frappe.show_alert({ message: __("The forecast is being computed."), indicator: "blue" });
	const look = async () => {
		const { status, error } = await frappe.xcall("memora.api.srs.get_job_status", { job_id: job.job_id });
		if (status === "finished") report.refresh();
		else if (status === "failed") frappe.msgprint(frappe.utils.escape_html(error));
		else setTimeout(look, 1000);
	};
	look();
}
