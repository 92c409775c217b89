// Calls the server's endpoints. Every failure becomes one of the errors below.

const TIMEOUT_MS = 20000;

// Errors that judge what was sent. Whatever else a server says, half deployed or behind a proxy, judges nothing.
const VERDICTS = new Set([
	...["InvalidBody", "BodyTooLarge", "InvalidLimit", "InvalidFilter", "InvalidResponses"],
	...["InvalidSubmissionId", "SubmissionConflict", "LearnerIsErased"],
	...["UnknownSeason", "NoActiveSeason", "SeasonStateError", "SeasonOver"],
]);

// No reply, or no reply that can be trusted. Try again; if `retryAfter` is set, after so many seconds.
export class Unreachable extends Error {
	constructor(retryAfter = 0) {
		super("unreachable");
		this.retryAfter = retryAfter;
	}
}

// The CSRF token is not the session's any more.
class StaleToken extends Unreachable {}

// Nobody is signed in, or somebody else is.
export class SignedOut extends Error {}

// Too much at once, in Safe Mode, or on this day. Try again after `seconds`.
export class RateLimited extends Error {
	constructor(seconds) {
		super("rate limited");
		this.seconds = seconds;
	}
}

// The server has understood the call and refuses it. `type` is the name of the server's error.
export class Refused extends Error {
	constructor(type, message) {
		super(message || type);
		this.type = type;
	}
}

export class Server {
	constructor(start) {
		this.learner = start.learner;
		this.token = start.csrf_token;
	}

	reviews(subject, limit = 20) {
		return this.get("memora.api.reviews.get_review_session", { subject, limit, preview: 1 });
	}

	lesson(subject, limit = 10) {
		return this.get("memora.api.sessions.get_lesson_session", { subject, limit, preview: 1 });
	}

	async submit(responses, submissionId, season) {
		const body = JSON.stringify({ responses, submission_id: submissionId, season });
		const post = () =>
			this.fetch("memora.api.reviews.submit_review_session", { method: "POST", body, keepalive: true });
		try {
			return await post();
		} catch (error) {
			if (!(error instanceof StaleToken)) throw error;
			await this.renewToken();
			return await post();
		}
	}

	// Fetches the token of a new session: a learner who signs in again gets another token.
	async renewToken() {
		const { learner, csrf_token } = await this.get("memora.www.review.renew_token", {});
		if (learner !== this.learner) throw new SignedOut();
		this.token = csrf_token;
	}

	get(method, parameters) {
		const given = Object.entries(parameters).filter(([, value]) => value);
		return this.fetch(`${method}?${new URLSearchParams(given)}`, {});
	}

	async fetch(path, options) {
		const aborter = new AbortController();
		const timer = setTimeout(() => aborter.abort(), TIMEOUT_MS);
		try {
			const response = await fetch(`/api/method/${path}`, {
				...options,
				headers: this.headers(),
				credentials: "same-origin",
				cache: "no-store",
				signal: aborter.signal,
			});
			const body = await response.json().catch(() => null);
			if (response.ok && body?.message !== undefined) return body.message;
			throw failure(response, body);
		} catch (error) {
			if (error instanceof TypeError || error.name === "AbortError") throw new Unreachable();
			throw error;
		} finally {
			clearTimeout(timer);
		}
	}

	headers() {
		return {
			Accept: "application/json",
			"Content-Type": "application/json",
			"X-Frappe-CSRF-Token": this.token,
			// if somebody else has signed in, in another tab, the server refuses to mix the two learners
			"X-Memora-Learner": this.learner,
		};
	}
}

function failure(response, body) {
	const retryAfter = Number(response.headers.get("Retry-After")) || 0;
	if (response.status === 401 || response.status === 403) return new SignedOut();
	if (response.status === 429) return new RateLimited(retryAfter || 30);
	if (body?.exc_type === "CSRFTokenError") return new StaleToken(retryAfter);
	return VERDICTS.has(body?.exc_type) ? new Refused(body.exc_type, messageOf(body)) : new Unreachable(retryAfter);
}

function messageOf(body) {
	try {
		const html = JSON.parse(JSON.parse(body._server_messages)[0]).message;
		return new DOMParser().parseFromString(html, "text/html").body.textContent;
	} catch {
		return "";
	}
}
