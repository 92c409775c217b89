frappe.provide("memora");

memora.HEALTH_POLL_MS = 30000;
memora.HEALTH_COLOURS = { ok: "green", warning: "orange", critical: "red" };

frappe.ui.form.on("Memora Health", {
	refresh(frm) {
		frm.disable_save();
		memora.show_health(frm);
		clearInterval(memora.health_timer);
		memora.health_timer = setInterval(() => {
			const is_open = cur_frm?.doctype === "Memora Health" && !document.hidden;
			if (is_open) memora.show_health(cur_frm);
		}, memora.HEALTH_POLL_MS);
	},
});

// What was told last may be minutes old: whoever looks sees how it is now.
memora.show_health = (frm) =>
	frappe.xcall("memora.api.srs.get_health").then(
		(health) => {
			const rows = Object.values(health.checks).map((check) => memora.health_row(check));
			frm.page.set_indicator(__(health.status, null, "Memora Health"), memora.HEALTH_COLOURS[health.status]);
			$(frm.fields_dict.now.wrapper)
				.empty()
				.append($('<div class="memora-health-now">').append(memora.health_row(health), rows));
		},
		() => {
			// rather nothing than what was true a while ago
			frm.page.clear_indicator();
			$(frm.fields_dict.now.wrapper).empty();
		},
	);

memora.health_row = ({ status, message }) =>
	$('<div class="mb-2 d-flex">').append(
		$("<span>", {
			class: `indicator-pill no-indicator-dot ${memora.HEALTH_COLOURS[status]} mr-2`,
			text: __(status, null, "Memora Health"),
		}),
		$("<span>", { text: message || __("Status now") }),
	);
