// Asks before a change of the calendar is saved that moves dates of learners. The server says how many, and in which words.
frappe.provide("memora");

// Has the form's save wait for the answer. Without a yes nothing is saved.
memora.confirm_moved_dates = (method, args) =>
	frappe.call({ method, args, type: "GET" }).then(({ message: { message } }) => {
		if (!message) return;
		return new Promise((resolve) => {
			const refuse = () => {
				frappe.validated = false;
				resolve();
			};
			const dialog = frappe.confirm(message, resolve, refuse);
			dialog.set_title(__("Move Dates"));
			dialog.get_primary_btn().text(__("Save and Move Dates"));
			dialog.get_secondary_btn().text(__("Do Not Save"));
		});
	});
