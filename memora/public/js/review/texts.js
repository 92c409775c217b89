// What a learner reads, in her language. The page brings the texts; Intl knows how numbers and days are said.

let texts = {};
let language;

export function speak(start) {
	texts = start.texts;
	language = known(start.lang);
}

function known(code) {
	try {
		return Intl.NumberFormat.supportedLocalesOf(code)[0];
	} catch {
		return undefined; // then the browser's own
	}
}

// The text of that name; {0}, {1} … are filled in, numbers as the language writes them.
export function t(name, ...values) {
	return texts[name].replace(/\{(\d)\}/g, (_whole, index) => shown(values[index]));
}

function shown(value) {
	return typeof value === "number" ? number(value) : String(value);
}

export function number(value) {
	return new Intl.NumberFormat(language).format(value);
}

// Days as people say them: days up to two months, then months, then years.
export function days(count) {
	const [value, unit] = count < 60 ? [count, "day"] : count < 365 ? [count / 30.44, "month"] : [count / 365.25, "year"];
	const digits = { maximumFractionDigits: unit === "day" ? 0 : 1 };
	return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short", ...digits }).format(value);
}

// "2026-11-24 04:00:00" is the clock of the school, whatever zone the phone is set to.
export function moment(siteTime) {
	const date = new Date(siteTime.replace(" ", "T").slice(0, 19) + "Z");
	const parts = { weekday: "long", day: "numeric", month: "long", hour: "numeric", minute: "2-digit" };
	return new Intl.DateTimeFormat(language, { ...parts, timeZone: "UTC" }).format(date);
}
