// Makes elements without innerHTML. Texts become text nodes: only sanitise.js turns HTML into elements.

export function el(name, attributes = {}, ...children) {
	const element = document.createElement(name);
	for (const [key, value] of Object.entries(attributes)) {
		if (value === false || value === null || value === undefined) continue;
		if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
		else element.setAttribute(key, value === true ? "" : value);
	}
	element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
	return element;
}

const PATHS = {
	check: "M5 12.5l4.5 4.5L19 7.5",
	cross: "M6.5 6.5l11 11M17.5 6.5l-11 11",
	pause: "M9 6v12M15 6v12",
	moon: "M19 14.5A7.5 7.5 0 0 1 9.5 5a7.5 7.5 0 1 0 9.5 9.5z",
	cloud: "M7 18a4 4 0 0 1-.5-7.97 5.5 5.5 0 0 1 10.7 1.02A3.5 3.5 0 0 1 17 18z",
	key: "M14 10a4 4 0 1 0-3.2 3.92L13 16h2v2h3v-3l-4.2-3.4A4 4 0 0 0 14 10z",
};

// Draws an icon. Icons are decoration, so screen readers leave them out.
export function icon(name, className = "icon") {
	const space = "http://www.w3.org/2000/svg";
	const svg = document.createElementNS(space, "svg");
	for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: className, "aria-hidden": "true" }))
		svg.setAttribute(key, value);
	const path = document.createElementNS(space, "path");
	path.setAttribute("d", PATHS[name]);
	svg.append(path);
	return svg;
}
