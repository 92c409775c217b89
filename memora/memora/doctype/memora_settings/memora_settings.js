frappe.ui.form.on("Memora Settings", {
	before_save(frm) {
		const hour = frm.doc.day_start_hour;
		return memora.confirm_moved_dates("memora.api.desk.preview_day_start_hour", { hour });
	},
});
