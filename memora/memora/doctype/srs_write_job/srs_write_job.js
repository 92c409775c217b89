frappe.ui.form.on("SRS Write Job", {
	refresh(frm) {
		frm.disable_form();
		frm.page.sidebar.hide(); // no table, so no tags, shares and assignments
		if (["parked", "failed", "waiting"].includes(frm.doc.status)) {
			frm.add_custom_button(__("Retry"), () => retry(frm));
		}
	},
});

async function retry(frm) {
	await frappe.xcall("memora.api.srs.retry_write_job", { name: frm.doc.name });
	frappe.show_alert({ message: __("Queued again"), indicator: "green" });
	frm.reload_doc();
}
