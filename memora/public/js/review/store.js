// Answers on this device, one entry each, so that two tabs never write over each other's. An entry's key names
// learner and season: nobody else's answers are ever looked at.

const PREFIX = "memora";

export class Store {
	constructor(user) {
		this.user = user;
		this.memory = new Map(); // where the browser gives no storage: then until the page is closed
	}

	// Answers of a kind, "answer", "sent" or "aside", of all this learner's seasons, in the order given.
	all(kind) {
		const prefix = this.key(kind) + ":";
		const entries = this.keys()
			.filter((key) => key.startsWith(prefix))
			.map((key) => this.read(key));
		return entries.filter(Boolean).sort((a, b) => a.at - b.at || a.serial - b.serial);
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
			// it was in memory
		}
	}

	// Calls back with an answer that another tab has put there, or null where it changed something else of ours.
	watch(callback) {
		addEventListener("storage", ({ key, newValue }) => {
			if (!key?.startsWith(this.key("answer")) && !key?.startsWith(this.key("aside"))) return;
			callback(newValue && key.startsWith(this.key("answer")) ? parsed(newValue) : null);
		});
	}

	key(kind) {
		return [PREFIX, kind, encodeURIComponent(this.user)].join(":");
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
		return parsed(this.memory.get(key) ?? localStorage.getItem(key));
	}
}

function parsed(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}
