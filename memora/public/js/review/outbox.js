// Keeps each answer on the device first, and sends answers to the server, some at a time, until the server has acknowledged
// them. Before a batch is sent for the first time it is bound to a submission_id, so a batch that is sent several times counts
// once. Until then an answer can be taken back.

import { RateLimited, Refused, SignedOut, Unreachable } from "./server.js";

const BATCH = 5; // so many answers are sent without waiting for quiet
const LARGEST_BATCH = 20; // of answers that have waited longer; the server takes 50
const QUIET_MS = 10000; // without a sign of the learner
const THINKING_MS = 60000; // the same while a question is before her: who thinks shows no sign
const FIRST_PAUSE_MS = 2000;
const LONGEST_PAUSE_MS = 60000;
const LONG_MS = 3600000; // a wait that is not over before the sitting is
const JUST_SENT_MS = 60000; // the server may have read a session before it stored these answers
const SEASON_CLOSED = new Set(["NoActiveSeason", "SeasonStateError"]);
const OF_ONE = new Set(["InvalidResponses", "BodyTooLarge"]); // what one answer may have caused

let serial = 0;

export class Outbox {
	// `onChange` is called when the waiting answers change, or the reason why they wait. `onResult(answer, result)` is called
	// with what the server says of an answer that it has taken.
	constructor(server, store, season, { onChange, onResult }) {
		Object.assign(this, { server, store, season, onChange, onResult });
		this.trouble = ""; // "", "offline", "signed-out" or "closed"
		this.pauseMs = FIRST_PAUSE_MS;
		this.isThinking = false; // a question is before the learner
		addEventListener("online", () => {
			this.pauseMs = FIRST_PAUSE_MS; // the first try may still come too early
			this.flush();
		});
		addEventListener("pageshow", () => this.flush());
		document.addEventListener("visibilitychange", () => (document.hidden ? this.leave() : this.flush()));
		for (const sign of ["pointerdown", "keydown", "scroll"])
			addEventListener(sign, () => this.quiet && this.awaitQuiet(), { passive: true });
	}

	// Returns the answers that the server does not have yet, of whatever season. Each counts in the season it was given in; the
	// server says which of them come too late.
	waiting() {
		return this.store.all("answer");
	}

	// Returns this season's questions whose answers wait or have just been sent. A session may still list them as due.
	answered() {
		const sent = this.store.all("sent");
		for (const answer of sent) if (answer.at < Date.now() - JUST_SENT_MS) this.store.remove("sent", answer);
		const given = [...this.waiting(), ...sent].filter((answer) => answer.season === this.season);
		return new Set(given.map((answer) => answer.question_id));
	}

	// Keeps an answer. Sends the ones before it once they fill a batch: the newest can still be taken back then.
	add(response) {
		const answer = {
			...response,
			submission_id: newId(),
			season: this.season,
			at: Date.now(),
			serial: serial++,
			batch: "",
		};
		this.store.put("answer", answer);
		this.onChange();
		if (this.waiting().length > BATCH) this.flush(BATCH);
		this.awaitQuiet();
		return answer;
	}

	// Says whether an answer has not been sent yet.
	isHeld(answer) {
		return this.store.get("answer", answer)?.batch === "";
	}

	// Takes an answer back. Says whether that was possible: it is no more once the answer is being sent.
	takeBack(answer) {
		return alone(this.lock("binding"), () => {
			if (!this.isHeld(answer)) return false;
			this.store.remove("answer", answer);
			this.onChange();
			return true;
		});
	}

	// Says whether a question is before the learner.
	thinks(isThinking) {
		this.isThinking = isThinking;
		if (this.quiet) this.awaitQuiet();
	}

	awaitQuiet() {
		clearTimeout(this.quiet);
		this.quiet = setTimeout(() => this.flush(), this.isThinking ? THINKING_MS : QUIET_MS);
	}

	// The page is hidden, and perhaps never shown again: what waits is sent without asking other tabs, which takes a moment.
	leave() {
		if (!this.running) this.flush(Infinity, (_lock, action) => action());
	}

	// Sends the answers that wait, at most `most` of them if they are new. Resolves when they are sent, or when something is in
	// the way. One run at a time.
	flush(most = Infinity, inTurn = alone) {
		if (this.running) {
			this.again ||= most === Infinity;
			return this.running;
		}
		for (const timer of ["timer", "quiet"]) {
			clearTimeout(this[timer]);
			this[timer] = null;
		}
		this.running = this.run(most, inTurn).finally(() => {
			this.running = null;
			this.onChange();
		});
		return this.running;
	}

	async run(most, inTurn) {
		do {
			this.again = false;
			await inTurn(this.lock("answers"), () => this.sendAll(most, inTurn));
			most = Infinity;
		} while (this.again && !this.trouble);
	}

	async sendAll(most, inTurn) {
		this.trouble = "";
		for (let left = most; left > 0; ) {
			const batch = await inTurn(this.lock("binding"), () => this.bind(Math.min(left, LARGEST_BATCH)));
			this.onChange();
			if (!batch.length) return;
			left -= batch.length;
			try {
				await this.send(batch);
				this.pauseMs = FIRST_PAUSE_MS;
			} catch (error) {
				if (this.stopsAt(error, batch)) return;
			}
			this.onChange();
		}
	}

	lock(name) {
		return `memora:${name}:${this.server.learner}`;
	}

	// Returns the oldest answers that wait, at most `most`, each to another question, as one submission from now on: sent again,
	// a submission has to be the same. `batch` is its id. What a release before this one has kept has none; it may have been sent
	// by itself already.
	bind(most) {
		const waiting = this.waiting();
		const [first] = waiting;
		if (!first) return [];
		if (first.batch === undefined) return [first];
		if (first.batch) return waiting.filter((answer) => answer.batch === first.batch);
		const [id, batch] = [newId(), new Map()];
		for (const answer of waiting.slice(0, most)) {
			if (answer.batch !== "" || answer.season !== first.season || batch.has(answer.question_id)) break;
			batch.set(answer.question_id, { ...answer, batch: id });
		}
		for (const answer of batch.values()) this.store.put("answer", answer);
		return [...batch.values()];
	}

	async send(batch) {
		const [{ season, submission_id, batch: id }] = batch;
		const result = await this.server.submit(batch.map(asResponse), id ?? submission_id, season);
		const reasons = new Map(result.rejected.map(({ question_id, reason }) => [question_id, reason]));
		for (const answer of batch)
			this.settle(answer, result.answers?.[answer.question_id], reasons.get(answer.question_id));
	}

	settle(answer, taken, reason) {
		if (taken) this.onResult(answer, taken);
		if (reason && !answer.practice) return this.setAside(answer, reason);
		if (!answer.practice) this.store.put("sent", { ...answer, at: Date.now() });
		this.store.remove("answer", answer);
	}

	// Handles an error. Says whether all answers have to wait.
	stopsAt(error, batch) {
		if (error instanceof SignedOut) this.trouble = "signed-out";
		else if (error instanceof RateLimited && error.seconds > LONG_MS / 1000 && batch.some((answer) => answer.practice))
			this.dropPractice(batch);
		else if (error instanceof Refused && SEASON_CLOSED.has(error.type)) this.trouble = "closed";
		else if (error instanceof Refused && batch.length > 1 && OF_ONE.has(error.type)) this.part(batch);
		else if (error instanceof Refused)
			for (const answer of batch) this.setAside(answer, error.type === "UnknownSeason" ? "" : error.message);
		else if (error instanceof Unreachable || error instanceof RateLimited) this.pause(error);
		else throw error;
		return Boolean(this.trouble);
	}

	// She has practised enough today: nothing is lost without these answers, and others need not wait.
	dropPractice(batch) {
		for (const answer of batch) if (answer.practice) this.store.remove("answer", answer);
	}

	// One answer that can't be read keeps the server from all of its batch, so from now on each is sent by itself.
	part(batch) {
		for (const answer of batch) this.store.put("answer", { ...answer, batch: answer.submission_id });
	}

	pause(error) {
		this.trouble = "offline";
		const asked = (error.retryAfter ?? error.seconds) * 1000;
		this.timer = setTimeout(() => this.flush(), asked || this.pauseMs);
		this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
	}

	// Sets aside an answer that the server does not accept. The answers behind it can be sent, and the learner is told.
	setAside(answer, reason) {
		this.store.put("aside", { ...answer, reason });
		this.store.remove("answer", answer);
	}
}

function asResponse({ question_id, practice, response_time_ms, quality, chosen }) {
	return { question_id, practice, response_time_ms, ...(chosen ? { chosen } : { quality }) };
}

// Lets only one of several tabs act. Pages that are not served over HTTPS have no such lock: there two tabs may send one
// answer, and the server counts it once.
function alone(name, action) {
	return navigator.locks ? navigator.locks.request(name, action) : action();
}

function newId() {
	const bytes = crypto.getRandomValues(new Uint8Array(16));
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
