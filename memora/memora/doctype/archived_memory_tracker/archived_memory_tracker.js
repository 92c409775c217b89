frappe.ui.form.on("Archived Memory Tracker", {
	refresh: (frm) => memora.show_memory(frm),
});
