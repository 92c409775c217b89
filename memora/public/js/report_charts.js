// Charts of Memora's reports. Frappe's report page writes 100 as "100.00" on an axis, and prints the label of each
// day, one over the other.
frappe.provide("memora");

{
	const AXES = {
		xIsSeries: 1, // leaves out the labels that there is no room for
		shortenYAxisNumbers: 1,
		numberFormatter: (value) => format_number(value, null, Number.isInteger(value) ? 0 : 1),
	};

	// For the `onload` of a report. The report page is the same object for all reports: others keep Frappe's axes.
	memora.draw_plain_axes = (report) => {
		report.render_chart = function (options) {
			const is_ours = this.report_doc.module === "Memora";
			this.$chart.toggleClass("memora-chart", is_ours);
			Object.getPrototypeOf(this).render_chart.call(this, is_ours ? { ...options, axisOptions: AXES } : options);
		};
	};
}
