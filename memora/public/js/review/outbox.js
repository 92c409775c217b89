// An answer is kept on the device first and goes to the server until that has acknowledged it. It carries its
// submission_id from the beginning, so that however often it is sent, it counts once.

import { RateLimited, Refused, SignedOut, Unreachable } from "./server.js";

const FIRST_PAUSE_MS = 2000;
const LONGEST_PAUSE_MS = 60000;
const JUST_SENT_MS = 60000; // a session may have been read before they were stored
const SEASON_CLOSED = new Set(["NoActiveSeason", "SeasonStateError"]);

let serial = 0;

export class Outbox {
	// `onChange` is called whenever what waits, or why, has changed.
	constructor(server, store, season, onChange) {
		Object.assign(this, { server, store, season, onChange });
		this.trouble = ""; // "", "offline", "signed-out" or "closed"
		this.pauseMs = FIRST_PAUSE_MS;
		addEventListener("online", () => {
			this.pauseMs = FIRST_PAUSE_MS; // the first try may still come too early
			this.flush();
		});
		addEventListener("pageshow", () => this.flush());
		document.addEventListener("visibilitychange", () => document.hidden || this.flush());
	}

	// Answers of this season that the server does not have yet; of all where there is no season to send them to.
	waiting() {
		const answers = this.store.all("answer");
		return this.season ? answers.filter((answer) => answer.season === this.season) : answers;
	}

	// The questions whose answers wait, or have just been sent: no longer due, whatever a session says.
	answered() {
		const sent = this.store.all("sent");
		for (const answer of sent) if (answer.at < Date.now() - JUST_SENT_MS) this.store.remove("sent", answer);
		return new Set([...this.waiting(), ...sent].map((answer) => answer.question_id));
	}

	add(response) {
		const answer = { ...response, submission_id: newId(), season: this.season, at: Date.now(), serial: serial++ };
		this.store.put("answer", answer);
		this.onChange();
		this.flush();
		return answer;
	}

	// Those of seasons that are over: no endpoint takes them any more.
	setOldAside() {
		for (const answer of this.store.all("answer"))
			if (this.season && answer.season !== this.season) this.setAside(answer, "");
	}

	// Sends what waits; resolves when all is sent or something is in the way. One run at a time.
	flush() {
		if (!this.season) return Promise.resolve();
		if (this.running) {
			this.again = true;
			return this.running;
		}
		clearTimeout(this.timer);
		this.running = this.run().finally(() => {
			this.running = null;
			this.onChange();
		});
		return this.running;
	}

	async run() {
		do {
			this.again = false;
			await alone(`memora:answers:${this.server.user}`, () => this.sendAll());
		} while (this.again && !this.trouble);
	}

	async sendAll() {
		this.trouble = "";
		let answer = this.waiting()[0];
		while (answer) {
			try {
				await this.send(answer);
				this.pauseMs = FIRST_PAUSE_MS;
			} catch (error) {
				if (this.stopsAt(error, answer)) return;
			}
			this.onChange();
			answer = this.waiting()[0];
		}
	}

	async send(answer) {
		const { question_id, quality, practice, response_time_ms, submission_id } = answer;
		const result = await this.server.submit([{ question_id, quality, practice, response_time_ms }], submission_id);
		const [rejected] = result.rejected;
		if (rejected && !practice) return this.setAside(answer, rejected.reason);
		if (!practice) this.store.put("sent", { ...answer, at: Date.now() });
		this.store.remove("answer", answer);
	}

	// Whether the answers behind this one have to wait, too.
	stopsAt(error, answer) {
		if (error instanceof SignedOut) this.trouble = "signed-out";
		else if (error instanceof Refused && SEASON_CLOSED.has(error.type)) this.trouble = "closed";
		else if (error instanceof Refused) this.setAside(answer, error.message);
		else if (error instanceof Unreachable || error instanceof RateLimited) this.pause(error);
		else throw error;
		return Boolean(this.trouble);
	}

	pause(error) {
		this.trouble = "offline";
		const asked = (error.retryAfter ?? error.seconds) * 1000;
		this.timer = setTimeout(() => this.flush(), asked || this.pauseMs);
		this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
	}

	// It can't be accepted: out of the way of the others, and the learner is told.
	setAside(answer, reason) {
		this.store.put("aside", { ...answer, reason });
		this.store.remove("answer", answer);
	}
}

// Of several tabs one sends. Without the lock (pages that are not served over HTTPS have none) two may send the
// same answer, of which the server takes one.
function alone(name, action) {
	return navigator.locks ? navigator.locks.request(name, action) : action();
}

function newId() {
	const bytes = crypto.getRandomValues(new Uint8Array(16));
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
