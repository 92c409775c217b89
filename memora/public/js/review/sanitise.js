// Cleans the HTML of questions, because a host app may deliver any HTML. The HTML is parsed in a document of its own, where
// nothing loads or runs, and rebuilt from the elements and attributes that are listed here. An element that is not listed
// leaves its text behind. memora/services/learning/safe_html.py and media_addresses.py have the same lists and rules.

const TAGS = new Set(
	(
		"a abbr b bdi bdo blockquote br caption cite code col colgroup dd del dfn div dl dt em figcaption figure h1 h2 " +
		"h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp small span strong sub sup table tbody td " +
		"tfoot th thead time tr tt u ul var wbr audio"
	).split(" "),
);
// These elements go with their text, which is not for readers.
const DROPPED = new Set("script style template noscript iframe object embed svg math title textarea select".split(" "));
const ATTRIBUTES = new Set("alt colspan datetime dir height lang rowspan scope span start title width".split(" "));
const MAX_DEPTH = 50;

let mediaHosts = new Set();

// Names the hosts, beside this site, from which pictures and sounds may come.
export function allowMediaFrom(hosts) {
	mediaHosts = new Set(hosts);
}

export function sanitised(html) {
	const parsed = new DOMParser().parseFromString(String(html ?? ""), "text/html");
	const fragment = document.createDocumentFragment();
	copyChildren(parsed.body, fragment, 0);
	return fragment;
}

// Says whether HTML shows anything at all.
export function isShown(html) {
	const fragment = sanitised(html);
	return Boolean(fragment.textContent.trim() || fragment.querySelector("img[src], audio[src]"));
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
	if (element.localName === "a") return copyLink(node, element);
	const address = mediaAddress(node.getAttribute("src"));
	if (element.localName === "img") {
		if (address) element.src = address;
		element.alt ||= "";
	}
	if (element.localName === "audio" && address) {
		element.src = address;
		element.controls = true;
	}
}

// A link leads out of the lesson: it says so, opens a tab of its own, and tells the other site nothing.
function copyLink(node, element) {
	const address = linkAddress(node.getAttribute("href"));
	if (!address) return;
	element.href = address;
	element.target = "_blank";
	element.rel = "noopener noreferrer nofollow";
	element.className = "outside";
}

// A picture is fetched in the learner's name, and Frappe logs out by GET: of this site only public files may be fetched.
function mediaAddress(address) {
	const url = parsed(address);
	if (!url) return null;
	if (url.origin === location.origin) return isPublicFile(url) ? url.pathname : null;
	return url.protocol === "https:" && mediaHosts.has(url.host) ? url.href : null;
}

function linkAddress(address) {
	const url = parsed(address);
	if (!url) return null;
	if (url.origin === location.origin) return isPublicFile(url) ? url.pathname : null;
	return ["https:", "http:"].includes(url.protocol) ? url.href : null;
}

function parsed(address) {
	try {
		const url = new URL(address ?? "", location.href);
		return url.username || url.password ? null : url;
	} catch {
		return null;
	}
}

// Says whether an address of this site is that of a public file, and of nothing else once a server decodes it.
function isPublicFile({ pathname, search }) {
	if (search || !pathname.startsWith("/files/")) return false;
	try {
		const parts = decodeURIComponent(pathname).slice("/files/".length).split(/[/\\]/);
		return !parts.some((part) => ["", ".", ".."].includes(part.trim()));
	} catch {
		return false; // no UTF-8
	}
}
