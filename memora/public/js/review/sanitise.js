// Cleans the HTML of questions, because a host app may deliver any HTML. The HTML is parsed in a document of its own, where
// nothing loads or runs, and rebuilt from the elements and attributes that are listed here. An element that is not listed
// leaves its text behind.

const TAGS = new Set(
	(
		"a abbr b bdi bdo blockquote br caption cite code col colgroup dd del dfn div dl dt em figcaption figure h1 h2 " +
		"h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp small span strong sub sup table tbody td " +
		"tfoot th thead time tr tt u ul var wbr audio"
	).split(" "),
);
// These elements go with their text, which is not for readers.
const DROPPED = new Set(
	"script style template noscript iframe object embed svg math title head link meta base form textarea select".split(
		" ",
	),
);
const ATTRIBUTES = new Set("alt colspan datetime dir height lang rowspan scope span start title width".split(" "));
const MAX_DEPTH = 50;

export function sanitised(html) {
	const parsed = new DOMParser().parseFromString(String(html ?? ""), "text/html");
	const fragment = document.createDocumentFragment();
	copyChildren(parsed.body, fragment, 0);
	return fragment;
}

// Says whether HTML shows anything at all.
export function isShown(html) {
	const fragment = sanitised(html);
	return Boolean(fragment.textContent.trim() || fragment.querySelector("img, audio"));
}

function copyChildren(from, to, depth) {
	for (const child of from.childNodes) copy(child, to, depth);
}

function copy(node, to, depth) {
	if (node.nodeType === Node.TEXT_NODE) to.append(node.data);
	if (node.nodeType !== Node.ELEMENT_NODE || DROPPED.has(node.localName) || depth > MAX_DEPTH) return;
	if (!TAGS.has(node.localName)) return copyChildren(node, to, depth + 1);
	const element = document.createElement(node.localName);
	for (const { name, value } of node.attributes) if (ATTRIBUTES.has(name)) element.setAttribute(name, value);
	copyAddress(node, element);
	copyChildren(node, element, depth + 1);
	to.append(element);
}

function copyAddress(node, element) {
	if (element.localName === "a" && isWeb(node.getAttribute("href"))) {
		element.href = node.getAttribute("href");
		element.target = "_blank";
		element.rel = "noopener noreferrer nofollow";
	}
	if (element.localName === "img" && isImage(node.getAttribute("src"))) {
		element.src = node.getAttribute("src");
		element.alt ||= "";
	}
	if (element.localName === "audio" && isWeb(node.getAttribute("src"))) {
		element.src = node.getAttribute("src");
		element.controls = true;
	}
}

function isWeb(address) {
	if (!address) return false;
	try {
		return ["https:", "http:"].includes(new URL(address, location.href).protocol);
	} catch {
		return false;
	}
}

function isImage(address) {
	return isWeb(address) || /^data:image\/(png|jpeg|gif|webp);base64,/i.test(address ?? "");
}
