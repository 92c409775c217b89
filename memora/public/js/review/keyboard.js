// The keyboard: Space or Enter goes on, digits choose, arrows move between choices, Ctrl+Z (on a Mac Cmd+Z) takes the latest
// answer back. Digits go by the place of the key, because an Arabic keyboard writes other digits.

export function listen() {
	addEventListener("keydown", (event) => {
		if (event.altKey || event.target.closest("select, input, dialog")) return;
		if (event.ctrlKey || event.metaKey ? isUndo(event) && undone() : handled(event)) event.preventDefault();
	});
}

// By the letter, and by the place of the key on a keyboard that writes no Latin letters.
function isUndo({ key, code, shiftKey, repeat }) {
	return !shiftKey && !repeat && (key.toLowerCase() === "z" || (code === "KeyZ" && !/^[a-z]$/i.test(key)));
}

function undone() {
	return press(document.querySelector("[data-undo]:not([hidden])"));
}

function handled(event) {
	const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
	if (digit) return press(choices()[digit[1] - 1]);
	if (event.key === " " || event.key === "Enter")
		return !event.target.closest("button, a, audio") && !event.repeat && press(document.querySelector("[data-go-on]"));
	if (["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight"].includes(event.key)) return move(event.key);
	return false;
}

function choices() {
	return [...document.querySelectorAll("[data-choice]:not(:disabled)")];
}

function press(button) {
	button?.click();
	return Boolean(button);
}

function move(key) {
	const all = choices();
	if (!all.length) return false;
	const isForward = key === "ArrowDown" || key === (document.dir === "rtl" ? "ArrowLeft" : "ArrowRight");
	const now = all.indexOf(document.activeElement);
	const next = now < 0 ? (isForward ? 0 : all.length - 1) : (now + (isForward ? 1 : -1) + all.length) % all.length;
	all[next].focus();
	return true;
}
