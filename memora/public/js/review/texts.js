// The texts that a learner reads, in her language. The page brings the texts; Intl writes numbers and days.

const DAY_MS = 24 * 60 * 60 * 1000;

let texts = {};
let language;
let schoolZone;

export function speak(start) {
	texts = start.texts;
	language = known(start.lang);
	schoolZone = start.time_zone;
}

function known(code) {
	try {
		return Intl.NumberFormat.supportedLocalesOf(code)[0];
	} catch {
		return undefined; // Intl then takes the browser's language
	}
}

// Returns a text by its name. Fills in {0}, {1} …; numbers are written as the language writes them.
export function t(name, ...values) {
	return texts[name].replace(/\{(\d)\}/g, (_whole, index) => shown(values[index]));
}

function shown(value) {
	return typeof value === "number" ? number(value) : String(value);
}

export function number(value) {
	return new Intl.NumberFormat(language).format(value);
}

// Writes a number of days as people say it: in days up to two months, then in months, then in years.
export function days(count) {
	const [value, unit] = count < 60 ? [count, "day"] : count < 365 ? [count / 30.44, "month"] : [count / 365.25, "year"];
	const digits = { maximumFractionDigits: unit === "day" ? 0 : 1 };
	return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short", ...digits }).format(value);
}

// Writes "2026-11-24 04:00:00" as "tomorrow at 4:00 AM" or "Tuesday, November 24 at 4:00 AM". The time is that of the
// school's clock, whatever time zone the phone is set to.
export function moment(siteTime) {
	const time = { hour: "numeric", minute: "2-digit" };
	const day = nearDay(siteTime.slice(0, 10));
	if (day) return t("day_and_time", day, clock(siteTime, time));
	return clock(siteTime, { weekday: "long", day: "numeric", month: "long", ...time });
}

function clock(siteTime, parts) {
	const date = new Date(siteTime.replace(" ", "T").slice(0, 19) + "Z");
	return new Intl.DateTimeFormat(language, { ...parts, timeZone: "UTC" }).format(date);
}

// Returns "today" or "tomorrow"; null for any other day, and if the browser does not know the school's time zone.
function nearDay(day) {
	try {
		const today = new Intl.DateTimeFormat("sv-SE", { timeZone: schoolZone }).format(new Date()); // 2026-11-23
		const days = (Date.parse(day) - Date.parse(today)) / DAY_MS;
		if (days !== 0 && days !== 1) return null;
		return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(days, "day");
	} catch {
		return null;
	}
}
