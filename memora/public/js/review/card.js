// One question: the learner chooses an option, or reveals the answer and grades herself.

import { el, icon } from "./dom.js";
import { sanitised } from "./sanitise.js";
import { isRight } from "./sitting.js";
import { days, t } from "./texts.js";

const RIGHT = 4;
const WRONG = 1; // RIGHT and WRONG are the qualities that the server takes `is_correct` for
const LONGEST_MS = 24 * 60 * 60 * 1000; // the longest time that the server accepts

// Shows a card. Calls `onAnswer(quality, responseTimeMs, chosen)` once, and `onNext()` when the learner is done with the card.
// `chosen` is the key of an option, which the server grades. `say(text)` speaks to learners who can't see the card. Returns a
// function that takes the keys of the right options, as the server's reply has them, and corrects what the card shows.
export function showCard(place, card, { isLesson, onAnswer, onNext, say }) {
	const { question } = card;
	const shownAt = performance.now();
	const took = () => Math.min(Math.round(performance.now() - shownAt), LONGEST_MS);
	const body = el("div", { class: "answer-area" });
	const heading = el(
		"div",
		{ class: "question", id: "question", tabindex: "-1", dir: "auto" },
		sanitised(question.question),
	);
	place.replaceChildren(
		el("article", { class: "card", "aria-labelledby": "question" }, kicker(card, isLesson), heading),
		body,
	);
	let correct = () => {};
	if (question.options?.length) correct = showChoices(body, question, took, { onAnswer, onNext, say });
	else showReveal(body, card, took, { onAnswer, onNext });
	heading.focus({ preventScroll: true });
	scrollTo(0, 0);
	return correct;
}

function kicker({ question, practice }, isLesson) {
	const badge = practice ? t("practice") : isLesson && !question.known ? t("new") : null;
	return el(
		"p",
		{ class: "kicker" },
		question.subject && el("bdi", {}, question.subject),
		badge && el("span", { class: "badge" }, badge),
	);
}

// Choices

function showChoices(body, question, took, { onAnswer, onNext, say }) {
	const buttons = question.options.map((option, index) =>
		el(
			"button",
			{ class: "choice", type: "button", "data-choice": true, onclick: () => choose(index) },
			el("kbd", { "aria-hidden": "true" }, String(index + 1)),
			el("span", { class: "choice-text", dir: "auto" }, sanitised(option.option)),
		),
	);
	const group = el("div", { class: "choices", role: "group", "aria-label": t("choices") }, buttons);
	const after = el("div", { class: "after" });
	body.replaceChildren(group, after);

	const right = new Set(question.options.filter((option) => option.is_correct).map((option) => option.key));
	let chosen = null;

	function choose(index) {
		chosen = question.options[index].key;
		onAnswer(right.has(chosen) ? RIGHT : WRONG, took(), chosen);
		after.append(el("div"), explanation(question), nextButton(onNext));
		show(right);
		after.querySelector("button").focus();
	}

	function show(rightKeys) {
		for (const [place, { key }] of question.options.entries()) mark(buttons[place], rightKeys.has(key), key === chosen);
		const isCorrect = rightKeys.has(chosen);
		after.firstElementChild.replaceWith(verdict(isCorrect));
		const answer = isCorrect ? "" : group.querySelector(".is-right .choice-text")?.textContent;
		say(isCorrect ? t("right") : `${t("wrong")} ${t("right_answer")}: ${answer}`);
	}

	// The question may have changed since it was read.
	return (rightKeys) => {
		if (chosen && rightKeys.length && rightKeys.join() !== [...right].join()) show(new Set(rightKeys));
	};
}

function mark(button, isCorrect, isChosen) {
	button.disabled = true;
	button.classList.remove("is-right", "is-wrong");
	for (const old of button.querySelectorAll(":scope > svg, :scope > .sr-only")) old.remove();
	if (!isCorrect && !isChosen) return;
	button.classList.add(isCorrect ? "is-right" : "is-wrong");
	button.append(icon(isCorrect ? "check" : "cross"));
	button.append(el("span", { class: "sr-only" }, isCorrect ? t("right_answer") : t("your_answer")));
}

function verdict(isCorrect) {
	const text = isCorrect ? t("right") : t("wrong");
	return el(
		"p",
		{ class: `verdict ${isCorrect ? "is-right" : "is-wrong"}` },
		icon(isCorrect ? "check" : "cross"),
		text,
	);
}

// Reveal and grade

function showReveal(body, card, took, handlers) {
	const reveal = () => {
		const answerTook = took();
		const answer = el("div", { class: "answer", tabindex: "-1", dir: "auto" }, sanitised(card.question.answer));
		body.replaceChildren(answer, explanation(card.question), gradeButtons(card, answerTook, handlers));
		answer.focus({ preventScroll: true });
		body.querySelector(".actions").scrollIntoView({ block: "nearest" });
	};
	const button = el(
		"button",
		{ class: "primary", type: "button", "data-go-on": true, onclick: reveal },
		t("show_answer"),
	);
	body.replaceChildren(el("div", { class: "actions" }, button));
}

// Practice moves no date, so it needs two grades only: again, or good.
function gradeButtons({ question, practice }, answerTook, { onAnswer, onNext }) {
	const grades =
		practice || !question.preview ? { Again: { quality: WRONG }, Good: { quality: RIGHT } } : question.preview;
	const buttons = Object.entries(grades).map(([rating, { quality, interval_days }]) => {
		const grade = () => {
			onAnswer(quality, answerTook);
			onNext();
		};
		return el(
			"button",
			{ class: `grade ${isRight(quality) ? "" : "is-again"}`, type: "button", "data-choice": true, onclick: grade },
			el("span", {}, t(rating.toLowerCase())),
			interval_days && el("small", {}, days(interval_days)),
		);
	});
	return el("div", { class: "actions grades", role: "group", "aria-label": t("how_well") }, buttons);
}

function explanation({ explanation: html }) {
	return html ? el("div", { class: "explanation", dir: "auto" }, sanitised(html)) : "";
}

function nextButton(onNext) {
	const button = el("button", { class: "primary", type: "button", "data-go-on": true, onclick: onNext }, t("next"));
	return el("div", { class: "actions" }, button);
}
