// Tells managers in the desk while Redis can't be reached.
frappe.provide("memora");

memora.SAFE_MODE_POLL_MS = 30000;

memora.show_safe_mode = (incident) => {
	$(".memora-safe-mode").remove();
	if (!incident) return;
	const since = frappe.datetime.str_to_user(incident.started_at);
	const text = __(
		"Safe Mode since {0}: the Redis for schedules can't be reached. Learners see fewer questions at a time. All answers are still saved.",
		[since],
	);
	$("<a>", {
		class: "memora-safe-mode alert alert-danger text-center d-block m-0 rounded-0",
		role: "status",
		href: frappe.utils.get_form_link("Safe Mode Incident", incident.name),
		text,
	}).prependTo(".main-section"); // the body of Frappe 16 is a row: what stands in it stands beside the desk
};

memora.look_for_safe_mode = () => {
	if (document.hidden) return;
	frappe
		.xcall("memora.api.utils.get_safe_mode")
		.then(memora.show_safe_mode)
		.catch(() => {}); // the server may be down, too: the next look will tell
};

$(document).on("app_ready", () => {
	if (!frappe.user.has_role(["System Manager", "Memora Manager"])) return;
	memora.look_for_safe_mode();
	setInterval(memora.look_for_safe_mode, memora.SAFE_MODE_POLL_MS);
});
