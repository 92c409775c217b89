// What a System Manager does with one learner's data: hand it out, erase it, or cut its link to her.

const POLL_MS = 1000; // between looks at the job, because realtime may not work
const NOT_DONE = ["queued", "started"];

frappe.ui.form.on("Memora Learner", {
	setup(frm) {
		frappe.realtime.on("memora_erasure", (state) => {
			if (cur_frm === frm && frm.memora_job) show_step(frm, state);
		});
	},

	refresh(frm) {
		if (frm.is_new() || !frappe.user.has_role("System Manager")) return;
		if (frm.doc.erasing_since) {
			frm.set_intro(__("This learner's data is being erased. If that has stopped, erase again: it goes on."), "red");
		} else {
			frm.add_custom_button(__("Export", null, "Memora Learner"), () => export_data(frm), __("Data"));
			frm.add_custom_button(__("Detach", null, "Memora Learner"), () => ask(frm, true), __("Data"));
		}
		frm.add_custom_button(__("Erase", null, "Memora Learner"), () => ask(frm, false), __("Data"));
	},
});

// Export

function export_data(frm) {
	frm.call("export_data").then(({ message: job }) => {
		frappe.show_alert(__("The export is being made."));
		follow(frm, job.job_id).then((result) => {
			frappe.msgprint(`<a class="memora-export" href="${frappe.utils.escape_html(result.file_url)}" download>
				${__("Download the file")}</a><br>${__("Only you can read it, for 7 days. Then it is deleted.")}`);
		});
	});
}

// Erase, detach

function ask(frm, detach) {
	frm.call("count_data").then(({ message: counts }) => {
		const title = detach ? __("Detach", null, "Memora Learner") : __("Erase", null, "Memora Learner");
		const dialog = new frappe.ui.Dialog({
			title: `${title}: ${frappe.utils.escape_html(frm.doc.learner_name || frm.doc.name)}`,
			fields: [
				{ fieldtype: "HTML", fieldname: "what", options: what(detach, counts) },
				{
					fieldtype: "Data",
					fieldname: "reference",
					label: __("Reference"),
					description: __("Such as the number of a letter. It is kept, so it must not name her."),
				},
				{
					fieldtype: "Data",
					fieldname: "confirm",
					label: __("Type the learner's ID, {0}, to confirm.", [frm.doc.name]),
					reqd: 1,
				},
			],
			primary_action_label: title,
			primary_action: (values) => start(frm, dialog, { ...values, detach: detach ? 1 : 0 }),
		});
		dialog.get_primary_btn().removeClass("btn-primary").addClass("btn-danger");
		dialog.show();
	});
}

function what(detach, counts) {
	const text = detach
		? __("Her user and her name are taken away. All rows stay, and are nobody's. This can't be undone.")
		: __("All that is stored of her is deleted, of all seasons. This can't be undone.");
	const rows = Object.entries(counts)
		.filter(([, count]) => count)
		.map(
			([where, count]) =>
				`<tr><td>${frappe.utils.escape_html(__(where))}</td><td class="text-right">${format_number(count, null, 0)}</td></tr>`,
		);
	return `<p>${text}</p><table class="table table-sm">${rows.join("")}</table>`;
}

function start(frm, dialog, values) {
	frm.call("erase_data", values).then(({ message: job }) => {
		if (!job) return; // refused: the message says why, and the dialog stays
		dialog.hide();
		show_step(frm, { percent: 0, description: "" });
		follow(frm, job.job_id).then(() => {
			frappe.show_alert({ message: __("Done", null, "Memora Learner"), indicator: "green" });
			if (values.detach) frm.reload_doc();
			else frappe.set_route("List", "Memora Learner");
		});
	});
}

function show_step(frm, { percent, description }) {
	frm.dashboard.show_progress(__("Data"), percent, description);
	frm.memora_step = true;
}

function hide_step(frm) {
	if (frm.memora_step) frm.dashboard.hide_progress(__("Data")); // of what is not shown Frappe can't hide anything
	frm.memora_step = false;
}

// Jobs

function follow(frm, job_id) {
	frm.memora_job = job_id;
	return new Promise((resolve) => {
		const look = () => {
			frappe
				.call({ method: "memora.api.srs.get_job_status", args: { job_id }, type: "GET" })
				.then(({ message: job }) => {
					if (NOT_DONE.includes(job.status)) return setTimeout(look, POLL_MS);
					frm.memora_job = null;
					hide_step(frm);
					if (job.status === "finished") return resolve(job.result);
					frappe.msgprint(frappe.utils.escape_html(job.error || ""));
					if (cur_frm === frm) frm.reload_doc();
				});
		};
		look();
	});
}
