frappe.ui.form.on("Player Memory Tracker", {
	refresh: (frm) => frappe.require("/assets/memora/js/memory.js", () => memora.show_memory(frm)),
});
