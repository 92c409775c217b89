const BUSY = ["Queued", "Running"];

frappe.ui.form.on("Anki Import", {
	setup(frm) {
		const of_subject = () => ({ filters: { subject: frm.doc.subject } });
		frm.set_query("topic", of_subject);
		frm.set_query("topic", "decks", of_subject);
	},

	refresh(frm) {
		const is_busy = BUSY.includes(frm.doc.status);
		frm.set_df_property("decks", "cannot_add_rows", true);
		frm.set_df_property("decks", "cannot_delete_rows", true);
		frm.set_df_property("problems", "cannot_add_rows", true);
		show_sample(frm);
		show_progress(frm, frm.doc);
		if (frm.is_new()) return;
		if (is_busy) frm.add_custom_button(__("Cancel Import"), () => call(frm, "cancel_import"));
		if (frm.doc.status === "Queued") return;
		// also while it runs, for one whose worker has died: the server knows
		if (!is_busy) frm.add_custom_button(__("Preview"), () => saved(frm).then(() => call(frm, "preview")));
		const start = is_busy ? __("Go On") : __("Start Import");
		const button = frm.add_custom_button(start, () => saved(frm).then(() => call(frm, "start")));
		if (!is_busy && frm.doc.questions) button.addClass("btn-primary").removeClass("btn-default");
	},

	onload(frm) {
		frappe.realtime.off("memora_anki_import");
		frappe.realtime.on("memora_anki_import", (state) => {
			if (state.status !== frm.doc.status) frm.reload_doc();
			else show_progress(frm, state);
		});
	},

	file: forget_preview,
});

function saved(frm) {
	return frm.is_dirty() ? frm.save() : Promise.resolve();
}

function call(frm, method) {
	return frm.call({ method, doc: frm.doc, freeze: true }).then(() => frm.reload_doc());
}

function forget_preview(frm) {
	frm.set_value({ sample: "", questions: 0, notes: 0, skipped: 0 });
	frm.clear_table("decks");
	frm.clear_table("problems");
	frm.refresh_fields();
	show_sample(frm);
}

function show_progress(frm, state) {
	if (!BUSY.includes(state.status)) return;
	const done = state.created + state.updated + state.unchanged;
	const share = Math.min(99, (100 * done) / Math.max(state.questions, 1));
	frm.dashboard.show_progress(__("Questions"), share, __("{0} of {1}", [done, state.questions]));
}

function show_sample(frm) {
	const rows = JSON.parse(frm.doc.sample || "[]").map(
		(row) => `<tr>${[row.question, row.answer, row.deck].map(cell).join("")}</tr>`
	);
	const heads = [__("Question"), __("Answer"), __("Deck")].map((head) => `<th>${head}</th>`);
	frm.get_field("sample_view").$wrapper.html(
		rows.length ? `<table class="table table-bordered"><tr>${heads.join("")}</tr>${rows.join("")}</table>` : ""
	);
}

function cell(text) {
	return `<td dir="auto">${frappe.utils.escape_html(text)}</td>`;
}
