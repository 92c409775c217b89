frappe.ui.form.on("Cache Rebuild", {
	refresh(frm) {
		show_progress(frm, frm.doc);
		if (frm.doc.status === "Running") {
			frm.add_custom_button(__("Cancel"), () =>
				frappe.xcall("memora.api.srs.cancel_rebuild", { season: frm.doc.season }),
			);
		}
	},

	onload(frm) {
		frappe.realtime.off("memora_rebuild");
		frappe.realtime.on("memora_rebuild", (state) => {
			if (state.season !== frm.doc.season) return;
			if (state.status !== frm.doc.status) frm.reload_doc();
			else show_progress(frm, state);
		});
	},
});

function show_progress(frm, state) {
	const share = state.status === "Completed" ? 100 : percent(state);
	frm.dashboard.show_progress(__("Records"), share, __("{0} of about {1}", [state.records, state.estimated_records]));
}

function percent({ records, estimated_records }) {
	return Math.min(99, (100 * records) / Math.max(estimated_records, 1));
}
