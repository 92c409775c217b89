frappe.query_reports["Learner Overview"] = {
	filters: [{ fieldname: "season", label: __("Season"), fieldtype: "Link", options: "Game Subscription Season" }],

	onload: (report) => memora.draw_plain_axes(report),
};
