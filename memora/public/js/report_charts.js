// Charts of Memora's reports. Frappe's report page writes 100 as "100.00" on an axis, and prints a label for each day, so
// that labels overlap.
frappe.provide("memora");

{
	const PLAIN = {
		axisOptions: {
			xIsSeries: 1, // leaves out labels for which there is no room
			shortenYAxisNumbers: 1,
			numberFormatter: (value) => format_number(value, null, Number.isInteger(value) ? 0 : 1),
		},
		disableEntryAnimation: 1, // a chart whose size changes while it grows fails, and a table below it changes its size
	};

	// For the `onload` of a report. All reports share one page object: reports of other apps must keep Frappe's axes.
	memora.draw_plain_axes = (report) => {
		report.render_chart = function (options) {
			const is_ours = this.report_doc.module === "Memora";
			this.$chart.toggleClass("memora-chart", is_ours);
			Object.getPrototypeOf(this).render_chart.call(this, is_ours ? { ...options, ...PLAIN } : options);
		};
	};
}
