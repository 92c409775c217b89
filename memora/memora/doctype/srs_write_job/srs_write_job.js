frappe.ui.form.on("SRS Write Job", {
	refresh(frm) {
		frm.disable_form();
		frm.page.sidebar.hide(); // tags, shares and assignments need a table, and this DocType has none
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
