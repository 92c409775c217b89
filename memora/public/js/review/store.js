// Answers on this device. Each answer has an entry of its own, so two tabs never overwrite each other's answers. An entry's
// key names the learner and the season: the answers of other learners are never read.

const PREFIX = "memora";

export class Store {
	constructor(learner) {
		this.learner = learner;
		this.memory = new Map(); // for a browser without storage: keeps answers until the page is closed
	}

	// Returns answers of a kind ("answer", "sent" or "aside") from all seasons of this learner, in the order of answering.
	all(kind) {
		const prefix = this.key(kind) + ":";
		const entries = this.keys()
			.filter((key) => key.startsWith(prefix))
			.map((key) => this.read(key));
		return entries.filter(Boolean).sort((a, b) => a.at - b.at || a.serial - b.serial);
	}

	// Returns an answer as it is kept; null if it is not.
	get(kind, answer) {
		return this.read(this.keyOf(kind, answer));
	}

	put(kind, answer) {
		const key = this.keyOf(kind, answer);
		try {
			localStorage.setItem(key, JSON.stringify(answer));
		} catch {
			this.memory.set(key, JSON.stringify(answer));
		}
	}

	remove(kind, answer) {
		const key = this.keyOf(kind, answer);
		this.memory.delete(key);
		try {
			localStorage.removeItem(key);
		} catch {
			// the answer was in memory only
		}
	}

	// Takes over what this device has kept under the learner's address: before learners had ids, the address was the key.
	adopt(address) {
		if (!address) return;
		for (const key of this.keys()) {
			const [prefix, kind, owner, ...rest] = key.split(":");
			if (prefix !== PREFIX || owner !== encodeURIComponent(address)) continue;
			localStorage.setItem([this.key(kind), ...rest].join(":"), localStorage.getItem(key));
			localStorage.removeItem(key);
		}
	}

	// Calls back when another tab changes this learner's answers: with an answer that the tab has added, or else with null.
	watch(callback) {
		addEventListener("storage", ({ key, newValue }) => {
			if (!key?.startsWith(this.key("answer")) && !key?.startsWith(this.key("aside"))) return;
			callback(newValue && key.startsWith(this.key("answer")) ? parsed(newValue) : null);
		});
	}

	key(kind) {
		return [PREFIX, kind, this.learner].join(":");
	}

	keyOf(kind, answer) {
		return [this.key(kind), encodeURIComponent(answer.season), answer.submission_id].join(":");
	}

	keys() {
		try {
			return [...Object.keys(localStorage), ...this.memory.keys()];
		} catch {
			return [...this.memory.keys()];
		}
	}

	read(key) {
		try {
			return parsed(this.memory.get(key) ?? localStorage.getItem(key));
		} catch {
			return null; // a browser without storage
		}
	}
}

// Returns the address of the account that is signed in, from the cookie that Frappe sets for its own pages.
export function signedInAs() {
	const [, address] = /(?:^|; )user_id=([^;]*)/.exec(document.cookie) ?? [];
	return address && decodeURIComponent(address);
}

function parsed(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}
