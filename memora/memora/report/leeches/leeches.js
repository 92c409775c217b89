frappe.query_reports["Leeches"] = {
	filters: [
		{ fieldname: "season", label: __("Season"), fieldtype: "Link", options: "Game Subscription Season" },
		{ fieldname: "lapses", label: __("Lapses at Least"), fieldtype: "Int", default: 8 },
		{ fieldname: "subject", label: __("Subject", null, "Memora"), fieldtype: "Data" },
	],

	onload: (report) => memora.draw_plain_axes(report),
};
