frappe.ui.form.on("Archived Memory Tracker", {
	refresh: (frm) => frappe.require("/assets/memora/js/memory.js", () => memora.show_memory(frm)),
});
