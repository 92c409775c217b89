const BUSY = ["Queued", "Running"];
const LOOK_MS = 2000;
const PROGRESS = ["status", "questions", "created", "updated", "unchanged", "kept", "kept_edited"];

frappe.ui.form.on("Anki Import", {
	setup(frm) {
		const of_subject = () => ({ filters: { subject: frm.doc.subject } });
		frm.set_query("topic", of_subject);
		frm.set_query("topic", "decks", of_subject);
	},

	refresh(frm) {
		for (const table of ["decks", "problems"]) {
			frm.set_df_property(table, "cannot_add_rows", true);
			frm.set_df_property(table, "cannot_delete_rows", true);
		}
		show_sample(frm);
		if (BUSY.includes(frm.doc.status)) watch(frm);
		else frm.enable_save();
		if (!frm.is_new()) add_buttons(frm);
	},

	file(frm) {
		// the decks, problems and sample belong to another file
		for (const table of ["decks", "problems"]) frm.clear_table(table);
		frm.set_value({ sample: "", others: "", change_others: 0, edited: "", overwrite_edits: 0 });
		frm.refresh_fields();
		show_sample(frm);
	},
});

function add_buttons(frm) {
	const is_busy = BUSY.includes(frm.doc.status);
	if (is_busy) frm.add_custom_button(__("Cancel Import"), () => call(frm, "cancel_import"));
	else frm.add_custom_button(__("Preview"), () => call(frm, "preview"));
	if (frm.doc.status === "Queued") return;
	// also shown while an import runs, because its worker may have died: the server checks that
	const start = frm.add_custom_button(is_busy ? __("Go On") : __("Start Import"), () => call(frm, "start"));
	if (frm.doc.sample && !is_busy) start.removeClass("btn-default").addClass("btn-primary");
}

async function call(frm, method) {
	if (frm.is_dirty()) await frm.save();
	await frm.call({ method, doc: frm.doc, freeze: true });
	frm.reload_doc();
}

// Asks the server again and again, so that progress is seen without socket.io and after a reload.
function watch(frm) {
	frm.disable_save();
	show_progress(frm, frm.doc);
	clearTimeout(frm.look);
	frm.look = setTimeout(async () => {
		if (cur_frm !== frm) return;
		const { message } = await frappe.db.get_value(frm.doctype, frm.doc.name, PROGRESS);
		if (message.status !== frm.doc.status) return frm.reload_doc();
		Object.assign(frm.doc, message);
		watch(frm);
	}, LOOK_MS);
}

function show_progress(frm, { questions, created, updated, unchanged, kept, kept_edited }) {
	const done = created + updated + unchanged + kept + kept_edited;
	const share = Math.min(99, (100 * done) / Math.max(questions, 1));
	frm.dashboard.show_progress(__("Questions"), share, __("{0} of {1}", [done, questions]));
}

function show_sample(frm) {
	const rows = sample_of(frm.doc).map((row) => `<tr>${[row.question, row.answer, row.deck].map(cell).join("")}</tr>`);
	const heads = [__("Question"), __("Answer"), __("Deck")].map((head) => `<th>${head}</th>`);
	const table = `<table class="table table-bordered"><tr>${heads.join("")}</tr>${rows.join("")}</table>`;
	frm.get_field("sample_view").$wrapper.html(rows.length ? table : "");
}

// Somebody may have written to the field past the form.
function sample_of({ sample }) {
	try {
		return JSON.parse(sample || "[]").filter((row) => row);
	} catch {
		return [];
	}
}

function cell(text) {
	return `<td dir="auto">${frappe.utils.escape_html(String(text))}</td>`;
}
