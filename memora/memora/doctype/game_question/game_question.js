frappe.ui.form.on("Game Question", {
	refresh(frm) {
		if (frm.is_new()) return;
		if (frm.doc.enabled) frm.add_custom_button(__("Withdraw"), () => withdraw(frm));
		else frm.add_custom_button(__("Bring Back"), () => set_enabled(frm, 1));
		ask_before_deletion(frm);
	},
});

async function withdraw(frm) {
	const text = __(
		"It is neither taught nor asked any more. What learners know of it stays, for when you bring it back.",
	);
	frappe.confirm(`${await said_of(frm)} ${text}`, () => set_enabled(frm, 0));
}

async function set_enabled(frm, enabled) {
	await frm.set_value("enabled", enabled);
	frm.save();
}

function ask_before_deletion(frm) {
	if (frm.memora_trash) return;
	frm.memora_trash = frm.savetrash.bind(frm);
	frm.savetrash = async () => {
		const text = __("Its text is gone then; their answers stay. To take a wrong question out, withdraw it.");
		frappe.confirm(`${await said_of(frm)} ${text}`, frm.memora_trash);
	};
}

async function said_of(frm) {
	const { message } = await frappe.call({
		method: "memora.api.desk.count_learners_of_questions",
		args: { questions: [frm.doc.name] },
	});
	const number = format_number(message.learners, null, 0);
	if (message.is_estimate) return __("About {0} learners know this question.", [number]);
	return __("{0} learners know this question.", [number]);
}
