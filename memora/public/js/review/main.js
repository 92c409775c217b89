// The learner's page: brings questions, answers and screens together.

import { showCard } from "./card.js";
import { el } from "./dom.js";
import * as keyboard from "./keyboard.js";
import { Outbox } from "./outbox.js";
import { allowMediaFrom, isShown } from "./sanitise.js";
import { nextReviews, offer, showCaughtUp, showScreen, showSummary, showWait, tell } from "./screens.js";
import { RateLimited, Refused, Server, SignedOut, Unreachable } from "./server.js";
import { Sitting } from "./sitting.js";
import { Store, signedInAs } from "./store.js";
import { speak, t } from "./texts.js";

const RETRY_MS = 10000; // between tries to reach the server; the browser's `online` event also starts a try

const byId = (id) => document.getElementById(id);
const start = JSON.parse(byId("start").textContent);
const place = byId("place");
const server = new Server(start);
const store = new Store(start.learner);
store.adopt(signedInAs());
const outbox = new Outbox(server, store, start.session?.season ?? start.season, {
	onChange: showState,
	onResult: showResult,
});
let subject = byId("subject")?.value ?? "";
let sitting = null;
let last = null; // {answer, undo}: the latest answer of the sitting, and what takes it back
let shownCard = { question: {}, correct: () => {} };
let stopWaiting = () => {};

// Sessions

function showReviews(session) {
	if (!session.season) return showMessage(session.message);
	if (session.season !== outbox.season) return location.reload(); // a new season has begun
	byId("degraded").hidden = !session.is_degraded;
	const questions = fresh(session.questions);
	if (questions.length) return begin(questions, session.total_due - questions.length);
	showProgress(0, 0);
	showCaughtUp(place, session.next_due);
	offerLesson();
}

// Leaves out questions that are answered, even if the server does not know yet, and questions that show nothing.
function fresh(questions) {
	const answered = outbox.answered();
	return questions.filter((question) => !answered.has(question.question_id) && isShown(question.question));
}

const loadReviews = () => load(() => server.reviews(subject), showReviews);

async function load(read, show) {
	stopWaiting();
	endSitting();
	place.setAttribute("aria-busy", "true");
	try {
		await outbox.flush(); // the server would ask a question again if its answer is not stored yet
		const readFor = subject;
		const session = await read();
		if (readFor === subject) show(session);
	} catch (error) {
		showTrouble(error, () => load(read, show));
	} finally {
		place.removeAttribute("aria-busy");
	}
}

async function offerLesson() {
	const shown = place.firstElementChild;
	try {
		const lesson = await server.lesson(subject);
		const questions = fresh(lesson.questions);
		if (!questions.length || shown !== place.firstElementChild) return;
		offer(place, { text: t("learn_new"), onclick: () => begin(questions, 0, true) });
	} catch {
		// a lesson is only an offer: without it the screen stays as it is
	}
}

// A sitting

function begin(questions, more, isLesson = false) {
	sitting = new Sitting(questions, isLesson);
	next(more);
}

function endSitting() {
	sitting = last = null;
	outbox.thinks(false);
	showUndo();
}

function next(more) {
	showProgress(sitting.done, sitting.size);
	if (!sitting.card) return finish(more);
	const { card, isLesson } = sitting;
	outbox.thinks(true);
	const correct = showCard(place, card, {
		isLesson,
		say,
		onAnswer: (quality, response_time_ms, chosen) => {
			const { question_id } = card.question;
			const takeBack = sitting.answer(quality);
			const answer = outbox.add({ question_id, quality, chosen, response_time_ms, practice: card.practice });
			outbox.thinks(false);
			const undo = () => {
				takeBack();
				next(more);
			};
			last = { answer, undo };
			showProgress(sitting.done, sitting.size);
			showUndo();
		},
		onNext: () => next(more),
	});
	shownCard = { question: card.question, correct };
}

// Takes the latest answer back, and shows its card once more.
async function undo() {
	if (!last) return;
	const { answer, undo } = last;
	const during = sitting;
	last = null;
	if ((await outbox.takeBack(answer)) && sitting === during) undo();
	showUndo();
}

function showUndo() {
	byId("undo").hidden = !last || !outbox.isHeld(last.answer);
}

async function finish(more) {
	const goOn = { text: t("go_on"), onclick: loadReviews };
	showSummary(place, sitting, more > 0 ? [{ ...goOn, text: t("go_on_with", more) }] : []);
	endSitting();
	if (more > 0) return;
	const shown = place.firstElementChild;
	try {
		await outbox.flush();
		const session = await server.reviews(subject, 1);
		if (shown !== place.firstElementChild) return;
		if (session.total_due && fresh(session.questions).length) offer(place, goOn);
		else if (session.next_due) tell(place, nextReviews(session.next_due));
		offerLesson();
	} catch {
		if (shown === place.firstElementChild) offer(place, goOn); // going on will show what is in the way
	}
}

// What is in the way

function showTrouble(error, again) {
	if (error instanceof RateLimited) return putOff(error.seconds, again);
	if (error instanceof SignedOut) return showSignedOut();
	if (error instanceof Refused) return showMessage(error.message);
	if (!(error instanceof Unreachable)) throw error;
	const tryAgain = { text: t("try_again"), onclick: again };
	showScreen(place, { picture: "cloud", title: t("no_network"), lines: [t("no_network_more")], actions: [tryAgain] });
	const timer = setTimeout(again, RETRY_MS);
	const soon = () => again();
	addEventListener("online", soon, { once: true });
	stopWaiting = () => {
		clearTimeout(timer);
		removeEventListener("online", soon);
	};
}

function putOff(seconds, again) {
	stopWaiting = showWait(place, seconds, again);
}

function showSignedOut() {
	showScreen(place, {
		picture: "key",
		title: t("signed_out"),
		lines: [t("signed_out_more")],
		actions: [{ text: t("sign_in"), href: start.login_url }],
	});
}

function showMessage(message) {
	showProgress(0, 0);
	showScreen(place, { picture: "moon", title: t("no_season"), lines: [message] });
}

// Around it

function showProgress(done, size) {
	const progress = byId("progress");
	progress.hidden = !size;
	progress.max = size || 1;
	progress.value = done;
	byId("progress-text").textContent = size ? t("progress", done, size) : "";
}

function showState() {
	showUndo();
	const count = outbox.waiting().length;
	const state = byId("state");
	state.dataset.state = count ? outbox.trouble || "sending" : "saved";
	byId("state-text").textContent = count ? t("waiting", count) : t("saved");
	showNotice("sign-in", count && outbox.trouble === "signed-out" && [t("sign_in_to_save"), link()]);
	const aside = store.all("aside");
	const reasons = [...new Set(aside.map((answer) => answer.reason || t("season_over")))];
	const button = dismiss(() => dismissAll(aside));
	showNotice("aside", aside.length && [t("not_accepted", aside.length), " ", reasons.join(" "), button]);
}

const dismiss = (onclick) => el("button", { type: "button", class: "secondary", onclick }, t("dismiss"));
const link = () => el("a", { href: start.login_url, class: "secondary" }, t("sign_in"));

// Tells what the server says of an answer, where that is not what the card told already.
function showResult(answer, { practice, right_options }) {
	if (answer.question_id === shownCard.question.question_id) shownCard.correct(right_options);
	if (practice && !answer.practice)
		showNotice("repeated", [t("repeated"), dismiss(() => showNotice("repeated", false))]);
}

function showNotice(id, children) {
	const notice = byId(id);
	notice.hidden = !children;
	notice.replaceChildren(...(children ? [el("p", {}, children.slice(0, -1)), children.at(-1)] : []));
}

function dismissAll(aside) {
	for (const answer of aside) store.remove("aside", answer);
	showState();
}

function say(text) {
	byId("live").textContent = text;
}

function chooseSubject({ target }) {
	subject = target.value;
	history.replaceState(null, "", subject ? `?${new URLSearchParams({ subject })}` : location.pathname);
	loadReviews();
}

function answeredElsewhere(answer) {
	if (answer && !answer.practice && sitting) sitting.drop(answer.question_id);
	showState();
}

allowMediaFrom(start.media_hosts);
speak(start);
keyboard.listen();
store.watch(answeredElsewhere);
byId("subject")?.addEventListener("change", chooseSubject);
byId("undo").addEventListener("click", undo);
showState();
if (start.retry_after) putOff(start.retry_after, loadReviews);
else if (outbox.waiting().length) loadReviews();
else showReviews(start.session);
