// Keeps each answer on the device first, and sends the answer to the server until the server has acknowledged it. An answer
// has its submission_id from the beginning, so an answer that is sent several times counts once.

import { RateLimited, Refused, SignedOut, Unreachable } from "./server.js";

const FIRST_PAUSE_MS = 2000;
const LONGEST_PAUSE_MS = 60000;
const LONG_MS = 3600000; // a wait that is not over before the sitting is
const JUST_SENT_MS = 60000; // the server may have read a session before it stored these answers
const SEASON_CLOSED = new Set(["NoActiveSeason", "SeasonStateError"]);

let serial = 0;

export class Outbox {
	// `onChange` is called when the waiting answers change, or the reason why they wait. `onResult(answer, result)` is called
	// with what the server says of an answer that it has taken.
	constructor(server, store, season, { onChange, onResult }) {
		Object.assign(this, { server, store, season, onChange, onResult });
		this.trouble = ""; // "", "offline", "signed-out" or "closed"
		this.pauseMs = FIRST_PAUSE_MS;
		addEventListener("online", () => {
			this.pauseMs = FIRST_PAUSE_MS; // the first try may still come too early
			this.flush();
		});
		addEventListener("pageshow", () => this.flush());
		document.addEventListener("visibilitychange", () => document.hidden || this.flush());
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

	add(response) {
		const answer = { ...response, submission_id: newId(), season: this.season, at: Date.now(), serial: serial++ };
		this.store.put("answer", answer);
		this.onChange();
		this.flush();
		return answer;
	}

	// Sends the answers that wait. Resolves when all are sent, or when something is in the way. One run at a time.
	flush() {
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
			await alone(`memora:answers:${this.server.learner}`, () => this.sendAll());
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
		const { question_id, quality, chosen, practice, response_time_ms, submission_id, season } = answer;
		const response = { question_id, practice, response_time_ms, ...(chosen ? { chosen } : { quality }) };
		const result = await this.server.submit([response], submission_id, season);
		const taken = result.answers?.[question_id];
		if (taken) this.onResult(answer, taken);
		const [rejected] = result.rejected;
		if (rejected && !practice) return this.setAside(answer, rejected.reason);
		if (!practice) this.store.put("sent", { ...answer, at: Date.now() });
		this.store.remove("answer", answer);
	}

	// Handles an error. Says whether the answers behind this answer have to wait, too.
	stopsAt(error, answer) {
		if (error instanceof SignedOut) this.trouble = "signed-out";
		else if (error instanceof RateLimited && error.seconds > LONG_MS / 1000 && answer.practice)
			this.store.remove("answer", answer); // practised enough today: nothing is lost, and others need not wait
		else if (error instanceof Refused && SEASON_CLOSED.has(error.type)) this.trouble = "closed";
		else if (error instanceof Refused) this.setAside(answer, error.type === "UnknownSeason" ? "" : error.message);
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

	// Sets aside an answer that the server does not accept. The answers behind it can be sent, and the learner is told.
	setAside(answer, reason) {
		this.store.put("aside", { ...answer, reason });
		this.store.remove("answer", answer);
	}
}

// Lets only one of several tabs send. Pages that are not served over HTTPS have no such lock: there two tabs may send one
// answer, and the server counts it once.
function alone(name, action) {
	return navigator.locks ? navigator.locks.request(name, action) : action();
}

function newId() {
	const bytes = crypto.getRandomValues(new Uint8Array(16));
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
