frappe.query_reports["Cache Discrepancies"] = {
	filters: [
		{ fieldname: "season", label: __("Season"), fieldtype: "Link", options: "Game Subscription Season" },
		{
			fieldname: "from_date",
			label: __("From Date"),
			fieldtype: "Date",
			default: frappe.datetime.add_days(frappe.datetime.get_today(), -29),
		},
		{ fieldname: "to_date", label: __("To Date"), fieldtype: "Date", default: frappe.datetime.get_today() },
	],

	onload: (report) => memora.draw_plain_axes(report),
};
