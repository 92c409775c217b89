// Answers on this device. Each answer has an entry of its own, so two tabs never overwrite each other's answers. An entry's
// key names the learner and the season: the answers of other learners are never read.

const PREFIX = "memora";

export class Store {
	constructor(user) {
		this.user = user;
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

	// Calls back when another tab changes this learner's answers: with an answer that the tab has added, or else with null.
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
