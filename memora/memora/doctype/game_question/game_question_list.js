frappe.listview_settings["Game Question"] = {
	onload(listview) {
		listview.page.add_action_item(__("Withdraw"), () => withdraw_checked(listview));
	},
};

async function withdraw_checked(listview) {
	const questions = listview.get_checked_items(true);
	if (!questions.length) return;
	const message = await frappe.xcall("memora.api.desk.count_learners_of_questions", { questions });
	const number = format_number(message.learners, null, 0);
	const known = message.is_estimate
		? __("About {0} learners know at least one of them.", [number])
		: __("{0} learners know at least one of them.", [number]);
	frappe.confirm(`${__("Withdraw {0} questions?", [questions.length])} ${known}`, async () => {
		await frappe.xcall("memora.api.desk.withdraw_questions", { questions });
		listview.clear_checked_items();
		listview.refresh();
	});
}
