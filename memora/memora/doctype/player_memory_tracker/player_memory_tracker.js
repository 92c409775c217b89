frappe.ui.form.on("Player Memory Tracker", {
	refresh: (frm) => memora.show_memory(frm),
});
