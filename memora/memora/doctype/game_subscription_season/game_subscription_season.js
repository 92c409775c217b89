frappe.ui.form.on("Game Subscription Season", {
	refresh(frm) {
		if (!frm.is_new() && !frm.doc.partition_created) {
			frm.add_custom_button(__("Create Partitions"), () =>
				frm.call("create_partitions").then(() => frm.reload_doc()),
			);
		}
	},
});
