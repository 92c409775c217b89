frappe.ui.form.on("Player Review Log", {
	refresh(frm) {
		const { memory, submission_answers } = frm.doc.__onload || {};
		const { player, season, submission_id } = frm.doc;
		if (memory) {
			frm.add_custom_button(__(memory.doctype), () => frappe.set_route("Form", memory.doctype, memory.name));
		}
		frm.add_custom_button(__("Answers of This Submission ({0})", [submission_answers]), () =>
			frappe.set_route("List", "Player Review Log", { player, season, submission_id: ["=", submission_id] }),
		);
	},
});
