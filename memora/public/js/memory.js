// One record, from tracker or archive: its forgetting curve, and the answers that led to it.
frappe.provide("memora");

{
	const METHOD = "memora.api.desk.get_memory";
	const SHOWN_ANSWERS = 20; // in the table; the chart has them all
	const COLORS = { Again: "red", Hard: "orange", Good: "green", Easy: "blue" };
	const percent = (share) => Math.round(1000 * share) / 10;
	const escaped = (value) => frappe.utils.escape_html(String(value));

	memora.show_memory = (frm) => {
		const { doctype, name } = frm.doc;
		// Frappe may run two refreshes at the same time: the sections must not stand there twice
		frm.dashboard.parent.find(".memora-curve, .memora-history").closest(".form-dashboard-section").remove();
		const sections = {
			curve: $(frm.dashboard.add_section(`<div class="memora-curve"></div>`, __("Forgetting Curve"))),
			history: $(frm.dashboard.add_section(`<div class="memora-history"></div>`, __("Answers"))),
		};
		frm.dashboard.show();
		frappe.call({ method: METHOD, args: { doctype, name }, type: "GET" }).then(({ message }) => {
			if (frm.doc.name !== name || !sections.curve[0].isConnected) return;
			draw_curve(sections.curve.find(".memora-curve")[0], message.curve);
			draw_history(sections.history.find(".memora-history"), message);
		});
	};

	function draw_curve(parent, { days, recall, today, due, desired_retention }) {
		const shares = recall.map(percent);
		// a bar on the marked day, and none on the others
		const mark = (day) => days.map((other, i) => (other === day ? shares[i] : 0));
		const datasets = [{ name: __("Recall"), chartType: "line", values: shares }];
		const colors = ["blue"];
		const add = (name, day, color) => {
			datasets.push({ name, chartType: "bar", values: mark(day) });
			colors.push(color);
		};
		if (today && today !== due) add(__("Today"), today, "green");
		add(today === due ? __("Due today") : __("Due"), due, "orange");
		new frappe.Chart(parent, {
			type: "axis-mixed",
			height: 240,
			colors,
			data: {
				labels: days.map(axis_date),
				datasets,
				yMarkers: [{ label: __("Target {0} %", [percent(desired_retention)]), value: percent(desired_retention) }],
			},
			axisOptions: { xIsSeries: 1, shortenYAxisNumbers: 1 },
			disableEntryAnimation: 1, // a chart whose size changes while it grows fails
			lineOptions: { hideDots: 1, regionFill: 1 },
			barOptions: { spaceRatio: 0.2 },
			tooltipOptions: { formatTooltipY: (value) => (value ? `${value} %` : "") },
		});
	}

	function draw_history(parent, { history, has_more }) {
		if (!history.length) {
			parent.html(`<p class="text-muted small">${__("The journal has no answer to this question.")}</p>`);
			return;
		}
		const note = has_more ? `<p class="text-muted small">${__("The last {0} answers.", [history.length])}</p>` : "";
		parent.html(`<div class="memora-stability"></div>${note}<div class="table-responsive">${table(history)}</div>`);
		if (history.length > 1) draw_stability(parent.find(".memora-stability")[0], history);
	}

	function draw_stability(parent, history) {
		new frappe.Chart(parent, {
			title: __("Stability after each answer, in days"),
			type: "line",
			height: 180,
			colors: ["blue"],
			data: {
				labels: history.map((answer) => axis_date(answer.reviewed_at)),
				datasets: [{ name: __("Days"), values: history.map((answer) => Math.round(10 * answer.stability_after) / 10) }],
			},
			axisOptions: { xIsSeries: 1 },
			disableEntryAnimation: 1,
		});
	}

	function table(history) {
		const titles = [__("Answered"), __("Kind"), __("Rating"), __("Predicted Recall"), __("Stability (Days)")];
		const rows = history.slice(-SHOWN_ANSWERS).reverse().map(row);
		return `<table class="table table-sm small mb-0"><thead><tr>${titles.map((t) => `<th>${t}</th>`).join("")}</tr></thead>
			<tbody>${rows.join("")}</tbody></table>`;
	}

	function row(answer) {
		const url = frappe.utils.get_form_link("Player Review Log", answer.name);
		const recall = answer.predicted_recall === null ? "–" : `${percent(answer.predicted_recall)} %`;
		return `<tr>
			<td class="text-nowrap"><a href="${url}"><bdi dir="ltr">${frappe.datetime.str_to_user(answer.reviewed_at)}</bdi></a></td>
			<td>${escaped(__(answer.kind, null, "Player Review Log"))}</td>
			<td><span class="indicator-pill ${COLORS[answer.rating] || "gray"}">${escaped(answer.rating ? __(answer.rating, null, "Player Review Log") : "–")}</span></td>
			<td><bdi dir="ltr">${recall}</bdi></td>
			<td>${format_number(answer.stability_after, null, 1)}</td></tr>`;
	}

	// short, so that labels on an axis do not overlap
	const axis_date = (text) => moment(text).format("D MMM");
}
