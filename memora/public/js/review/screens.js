// The screens without a question: the end of a sitting, nothing due, a wait in Safe Mode, no season, no network.

import { el, icon } from "./dom.js";
import { moment, number, t } from "./texts.js";

// Shows a screen instead of what is shown. `actions` are [{text, onclick} or {text, href}]; the first is the main action.
export function showScreen(place, { picture, title, lines = [], actions = [], extra = "", tone = "" }) {
	const heading = el("h2", { tabindex: "-1" }, title);
	const buttons = actions.map((action, index) => button(action, index === 0));
	place.replaceChildren(
		el(
			"section",
			{ class: `screen ${tone}` },
			el("div", { class: "picture" }, icon(picture)),
			heading,
			extra,
			lines.filter(Boolean).map((line) => el("p", {}, line)),
			el("div", { class: "actions" }, buttons),
		),
	);
	heading.focus({ preventScroll: true });
	scrollTo(0, 0);
}

// Adds a line to the screen that is shown.
export function tell(place, line) {
	place.querySelector(".screen .actions")?.before(el("p", { role: "status" }, line));
}

// Adds an action to the screen that is shown, for actions that become known later.
export function offer(place, action) {
	const actions = place.querySelector(".screen .actions");
	actions?.append(button(action, !actions.children.length));
}

function button({ text, onclick, href }, isMain) {
	const attributes = { class: isMain ? "primary" : "secondary", "data-go-on": isMain };
	if (href) return el("a", { ...attributes, href }, text);
	return el("button", { ...attributes, type: "button", onclick }, text);
}

export function showSummary(place, sitting, actions) {
	const counts = [
		[sitting.answered, t("questions_answered")],
		[sitting.rightAtOnce, t("right_at_once")],
	];
	showScreen(place, {
		picture: "check",
		tone: "is-done",
		title: t("well_done"),
		extra: el(
			"dl",
			{ class: "counts" },
			counts.map(([count, name]) => el("div", {}, el("dt", {}, name), el("dd", {}, number(count)))),
		),
		actions,
	});
}

export const nextReviews = (nextDue) => t("next_at", moment(nextDue));

export function showCaughtUp(place, nextDue) {
	showScreen(place, {
		picture: "check",
		tone: "is-done",
		title: t("caught_up"),
		lines: [nextDue ? nextReviews(nextDue) : t("nothing_yet")],
	});
}

// Counts down and then calls `onEnd`. Returns a function that stops the countdown.
export function showWait(place, seconds, onEnd) {
	const count = el("p", { class: "countdown", role: "timer" });
	showScreen(place, { picture: "pause", title: t("busy"), lines: [t("busy_more")], extra: count });
	const end = performance.now() + seconds * 1000;
	const tick = () => {
		const left = Math.ceil((end - performance.now()) / 1000);
		count.textContent = number(Math.max(0, left));
		if (left > 0) return;
		clearInterval(timer);
		onEnd();
	};
	const timer = setInterval(tick, 250);
	tick();
	return () => clearInterval(timer);
}
