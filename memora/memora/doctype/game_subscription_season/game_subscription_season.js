// Shows where a season stands and what may be done with it. The server says both, and checks again before it does anything.

const POLL_MS = 2000; // between looks while something is going on, because realtime may not work

const ACTIONS = {
	switch: { label: __("Switch to This Season"), run: switch_season },
	create_partitions: { label: __("Create Partitions"), run: create_partitions },
	rebuild: { label: __("Rebuild Cache"), run: rebuild },
	cancel_rebuild: { label: __("Cancel Rebuild"), run: cancel_rebuild },
	reconcile: { label: __("Reconcile"), run: reconcile },
	archive: { label: __("Archive", null, "Action"), run: archive },
	retention: { label: __("Retention"), run: retention },
};

frappe.ui.form.on("Game Subscription Season", {
	setup(frm) {
		const look = (message) => {
			if (!message.season || message.season === frm.doc.name) look_again(frm, 0);
		};
		for (const event of ["memora_rebuild", "memora_archive", "memora_dates"]) frappe.realtime.on(event, look);
	},

	before_save(frm) {
		const { name: season, end_date } = frm.doc;
		if (frm.is_new() || !end_date) return;
		return memora.confirm_moved_dates("memora.api.desk.preview_end_date", { season, end_date });
	},

	refresh(frm) {
		clearTimeout(frm.memora_timer);
		if (frm.is_new()) return;
		// after the first save Frappe runs two refreshes at the same time: the section must not stand there twice
		frm.memora_section?.closest(".form-dashboard-section").remove();
		frm.memora_section = $(frm.dashboard.add_section("", __("State")));
		frm.memora_actions = null; // a refresh removes the buttons
		look_again(frm, 0);
	},
});

function look_again(frm, after_ms) {
	clearTimeout(frm.memora_timer);
	frm.memora_timer = setTimeout(() => look(frm), after_ms);
}

function look(frm) {
	const name = frm.doc.name;
	if (cur_frm !== frm || frm.is_new()) return; // another form is open: the next refresh looks again
	frappe
		.call({ method: "memora.api.desk.get_season_state", args: { season: name }, type: "GET" })
		.then(({ message: state }) => {
			if (frm.doc.name !== name) return;
			show(frm, state);
			if (state.is_busy) look_again(frm, POLL_MS);
			// services have written to the document meanwhile: the form must show that
			else if (frm.memora_was_busy && !frm.is_dirty()) frm.reload_doc();
			frm.memora_was_busy = state.is_busy;
		});
}

// What is shown

function show(frm, state) {
	frm.memora_section.html(`<div class="memora-state">
		${column(__("Partitions"), partitions(state) + dates(state))}
		${column(__("Cache"), cache(state))}
		${column(__("Archive", null, "Memora"), archived(state, frm.doc))}
	</div>`);
	frm.dashboard.show();
	frm.memora_state = state;
	show_actions(frm);
}

function show_actions(frm) {
	const { actions } = frm.memora_state;
	if (actions.join() === frm.memora_actions) return; // an open menu stays open
	frm.memora_actions = actions.join();
	for (const { label } of Object.values(ACTIONS)) frm.remove_custom_button(label, __("Actions"));
	for (const name of actions) {
		const { label, run } = ACTIONS[name];
		frm.add_custom_button(label, () => run(frm, frm.memora_state), __("Actions"));
	}
}

const column = (title, body) => `<div class="mb-3"><h6>${title}</h6>${body}</div>`;
const escaped = (value) => frappe.utils.escape_html(String(value));
const number = (value) => format_number(value || 0, null, 0);
// {0} in `many` is the number
const counted = (count, one, many) => (count === 1 ? one : many.replace("{0}", number(count)));
// dates are read from left to right in every language
const when = (value) => `<bdi dir="ltr" class="text-nowrap">${frappe.datetime.str_to_user(value)}</bdi>`;
const day = (value) => when(value.slice(0, 10));
const fact = (label, value) =>
	`<div class="d-flex justify-content-between small mb-1" style="gap: 8px">
		<span class="text-muted">${label}</span><span style="text-align: end">${value}</span></div>`;
const problem = (text) => (text ? `<div class="memora-error small text-danger my-2">${escaped(text)}</div>` : "");

function bar(kind, { percent, is_running, error }, text) {
	if (percent === null) return "";
	const style = is_running
		? "progress-bar-striped progress-bar-animated"
		: error || percent < 100
			? "bg-warning"
			: "bg-success";
	const width = Math.max(percent, 2); // so that the bar can be seen at 0 %
	return `<div class="memora-progress my-2" data-kind="${kind}">
		<div class="progress"><div class="progress-bar ${style}" role="progressbar" style="width: ${width}%"
			aria-valuenow="${Math.floor(percent)}" aria-valuemin="0" aria-valuemax="100"></div></div>
		<div class="small text-muted mt-1">${escaped(text)}</div></div>`;
}

function partitions({ tables }) {
	return Object.entries(tables)
		.map(([doctype, found]) => {
			if (!found) return fact(__(doctype), `<span class="text-danger">${__("missing")}</span>`);
			const size = frappe.form.formatters.FileSize(found.bytes);
			const since = found.created_at ? __("since {0}", [day(found.created_at)]) : "";
			const rows = counted(found.rows, __("about 1 row"), __("about {0} rows"));
			return fact(__(doctype), since) + `<div class="small mb-2">${rows}, ${size}</div>`;
		})
		.join("");
}

function dates({ dates: { is_pending, is_running, percent, moved, error }, jobs }) {
	if (percent === null) return "";
	const count = counted(moved, __("1 date moved"), __("{0} dates moved"));
	const text = jobs.dates?.status === "queued" && is_pending ? __("Waiting for a worker") : count;
	return `<h6 class="mt-3">${__("Dates")}</h6>` + bar("dates", { percent, is_running, error }, text) + problem(error);
}

function cache({ cache, jobs, queue_error }) {
	if (!cache.is_enabled) return fact(__("Redis"), __("not used by this season"));
	const { rebuild, reconciliation } = cache;
	let html = fact(
		__("Last rebuild"),
		rebuild ? link("Cache Rebuild", rebuild.name, when(rebuild.started_at)) : __("never"),
	);
	html += bar("rebuild", cache, jobs.rebuild?.status === "queued" ? __("Waiting for a worker") : progress_of(rebuild));
	html += fact(
		__("Last reconciliation"),
		reconciliation ? link("Cache Reconciliation", reconciliation.name, when(reconciliation.started_at)) : __("never"),
	);
	if (reconciliation) {
		const { discrepancies_found, sample_size } = reconciliation;
		const found = __("{0} of {1}", [number(discrepancies_found), number(sample_size)]);
		html += fact(__("Wrong Records"), sample_size ? found : __("nothing to compare"));
	}
	html += running(jobs.reconcile, __("Reconciliation"));
	return html + problem(cache.error) + problem(queue_error);
}

function progress_of(rebuild) {
	const { status = "Running", records, estimated_records } = rebuild || {}; // a job that has just begun has no document yet
	if (status === "Completed") return counted(records, __("Completed: 1 record"), __("Completed: {0} records"));
	return __("{0}: {1} of about {2}", [__(status, null, "Cache Rebuild"), number(records), number(estimated_records)]);
}

function archived({ archive, jobs }, doc) {
	let html = "";
	if (archive.archived_at) {
		html += fact(__("Archived"), when(archive.archived_at));
		html += fact(__("Records"), number(archive.archived_records));
	} else {
		if (archive.started_at) html += fact(__("Started At"), when(archive.started_at));
		else html += fact(__("Archived"), __("no"));
		html += fact(__("Automatic"), doc.auto_archive ? __("after {0}", [day(doc.end_date)]) : __("no"));
	}
	const is_queued = jobs.archive?.status === "queued";
	html += bar("archive", archive, is_queued ? __("Waiting for a worker") : archive.status || "");
	return html + running(jobs.retention, __("Retention")) + problem(archive.error);
}

const link = (doctype, name, html) => `<a href="${frappe.utils.get_form_link(doctype, name)}">${html}</a>`;

function running(job, label) {
	const texts = { queued: __("waiting for a worker"), started: __("running") };
	return texts[job?.status] ? fact(label, texts[job.status]) : "";
}

// The actions. Each action first shows what it would do. The server may refuse, and Frappe shows the refusal.

function switch_season(frm) {
	dry_run(frm, "memora.api.srs.switch_season").then((found) => {
		const lines = found.closes
			? [
					__("Season {0} closes and season {1} opens, in one step: learners notice nothing.", [
						escaped(found.closes),
						escaped(found.opens),
					]),
					__("Submissions of {0} that are still being processed: {1}.", [escaped(found.closes), number(found.waiting)]),
					__("Answers that were given before, on devices that are offline, count in {0} until {1}.", [
						escaped(found.closes),
						day(found.late_answers_until),
					]),
				]
			: [__("Season {0} opens.", [escaped(found.opens)])];
		lines.push(
			found.carries_on_from
				? __("What learners know from {0} goes along.", [escaped(found.carries_on_from)])
				: __("It carries on from no season, so every question is new to every learner."),
		);
		ask(__("Switch to This Season"), lines.join("<br>"), [], () =>
			frappe
				.call({ method: "memora.api.srs.switch_season", args: { season: frm.doc.name, confirm: 1 } })
				.then(() => frm.reload_doc()),
		);
	});
}

function create_partitions(frm, { tables }) {
	const missing = Object.keys(tables).filter((doctype) => !tables[doctype]);
	const text = __("Makes the season's partitions in these tables: {0}.", [
		missing.map((doctype) => __(doctype)).join(", "),
	]);
	ask(__("Create Partitions"), text, [], () => frm.call("create_partitions").then(() => frm.reload_doc()));
}

function rebuild(frm, { tables }) {
	const text = __("Loads the schedules of all learners into Redis. Records in the season: about {0}.", [rows(tables)]);
	ask(__("Rebuild Cache"), text, [], () => start(frm, "memora.api.srs.rebuild_season_cache"));
}

function cancel_rebuild(frm) {
	const text = __(
		"The rebuild stops within seconds. If you start it again within an hour, it continues where it stopped.",
	);
	ask(__("Cancel Rebuild"), text, [], () => start(frm, "memora.api.srs.cancel_rebuild"));
}

function reconcile(frm, { tables }) {
	const text = __("Compares the schedules in Redis with MariaDB and corrects them. Records in the season: about {0}.", [
		rows(tables),
	]);
	const size = { fieldname: "sample_size", fieldtype: "Int", label: __("Records to Compare"), default: 10000, reqd: 1 };
	ask(__("Reconcile"), text, [size], (values) => start(frm, "memora.api.srs.trigger_reconciliation", values));
}

function archive(frm) {
	dry_run(frm, "memora.api.srs.archive_season").then((found) => {
		const moves = found.is_estimate
			? __("Moves about {0} records to the archive.", [number(found.active_records)])
			: counted(found.active_records, __("Moves 1 record to the archive."), __("Moves {0} records to the archive."));
		const text = `${moves} ${__("From then on the season takes no answers. This can't be undone.")}`;
		ask(
			__("Archive", null, "Action"),
			text,
			[typed(frm)],
			(values) =>
				confirm_early(found).then((before_its_end) =>
					start(frm, "memora.api.desk.archive_season", { ...values, before_its_end }),
				),
			"danger",
		);
	});
}

// Asks a second time, if the season's last day is not over. Resolves to 1 if it is not, and rejects if the answer is no.
function confirm_early({ season, end_date, is_over }) {
	if (is_over) return Promise.resolve(0);
	const text = __("Season {0} ends on {1} only. Archive it all the same?", [escaped(season), day(end_date)]);
	return new Promise((resolve, reject) => frappe.confirm(text, () => resolve(1), reject));
}

function retention(frm) {
	dry_run(frm, "memora.api.srs.delete_eligible_records").then(({ rows: by_season, is_estimate }) => {
		const found = Object.entries(by_season[frm.doc.name] || {});
		if (!found.length) return frappe.msgprint(__("Nothing of this season is past the retention period."));
		const what = found.map(([doctype, count]) => `${number(count)} × ${__(doctype)}`).join(", ");
		const deletes = is_estimate
			? __("Deletes what is past the retention period, estimated: {0}.", [what])
			: __("Deletes what is past the retention period: {0}.", [what]);
		const text = `${deletes} ${__("This can't be undone.")}`;
		const run = (values) => start(frm, "memora.api.desk.delete_eligible_records", values);
		ask(__("Retention"), text, [typed(frm)], run, "danger");
	});
}

const rows = (tables) => number(tables["Player Memory Tracker"]?.rows);

const typed = (frm) => ({
	fieldname: "typed_name",
	fieldtype: "Data",
	label: __("Type {0} to confirm", [escaped(frm.doc.name)]),
	reqd: 1,
});

const dry_run = (frm, method) =>
	frappe
		.call({ method, args: { season: frm.doc.name }, freeze: true, freeze_message: __("Counting") })
		.then(({ message }) => message);

function start(frm, method, values = {}) {
	return frappe.call({ method, args: { season: frm.doc.name, ...values } }).then(() => {
		frm.memora_was_busy = true; // even if the job has ended before the next look
		look_again(frm, 0);
	});
}

// The dialog stays open when the server refuses.
function ask(title, text, fields, action, style = "primary") {
	const dialog = new frappe.ui.Dialog({
		title,
		fields: [{ fieldname: "text", fieldtype: "HTML", options: `<p>${text}</p>` }, ...fields],
		primary_action_label: title,
		primary_action(values) {
			dialog.disable_primary_action();
			Promise.resolve(action(values))
				.then(() => dialog.hide())
				.catch(() => dialog.enable_primary_action());
		},
	});
	dialog.get_primary_btn().removeClass("btn-primary").addClass(`btn-${style}`);
	dialog.show();
}
