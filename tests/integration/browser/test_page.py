"""The page itself: its size, its languages and directions, what content may do in it, who can use it."""

import json
import re
import time
from base64 import b64decode

import frappe
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from memora import review_page
from memora.services import settings
from tests.integration.factories import make_questions, make_records
from tests.integration.waiting import wait_until

MOST_BYTES = 80_000
OPTIONS = [{"option_text": text, "is_correct": text == "زحل"} for text in ("المشتري", "زحل", "Mars")]
VECTORS = [
	"<script>window.ran = 1</script>",
	"<img src=x onerror='window.ran = 1'>",
	"<svg onload='window.ran = 1'><script>window.ran = 1</script></svg>",
	"<svg><a xlink:href='javascript:window.ran = 1'><text>svg</text></a></svg>",
	"<a href='javascript:window.ran = 1' id='link'>link</a>",
	"<a href='java&#10;script:window.ran = 1' id='link'>link</a>",
	"<iframe srcdoc='<script>parent.ran = 1</script>'></iframe>",
	"<details open ontoggle='window.ran = 1'>more</details>",
	"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=window.ran=1&gt;'>",
	"<form action='javascript:window.ran = 1'><button id='link'>go</button></form>",
	"<p style='position: fixed; inset: 0' class='x' onclick='window.ran = 1' id='link'>click</p>",
	"<base href='https://example.com/'><meta http-equiv='refresh' content='0;url=https://example.com'>",
]


def test_the_page_is_small_and_loads_from_its_own_site_alone(pupil, player, web):
	make_records(player, 20)
	responses = []
	pupil.page.on("response", lambda response: responses.append(response))
	pupil.open()
	expect(pupil.question).to_be_visible()
	pupil.page.wait_for_load_state("networkidle")
	assert all(response.ok and response.url.startswith(web.url) for response in responses)
	kinds = sorted(response.request.resource_type for response in responses)
	assert set(kinds) <= {"document", "stylesheet", "script", "other"}
	others = [response.url for response in responses if response.request.resource_type == "other"]
	assert all(f"/assets/memora/{review_page.ICON}" in url for url in others)
	assert sum(len(response.body()) for response in responses) <= MOST_BYTES


def test_the_address_of_a_file_changes_with_its_content(pupil):
	requested = []
	pupil.page.on("request", lambda request: requested.append(request.url))
	pupil.open().page.wait_for_load_state("networkidle")
	files = [url for url in requested if "/assets/" in url and review_page.ICON not in url]
	assert len(files) == len(list((review_page.PUBLIC / review_page.MODULES).glob("*.js"))) + 1
	assert all(re.search(r"\?v=[0-9a-f]{12}$", url) for url in files)


# Content


def test_content_runs_nothing(pupil, player):
	"""Past the cleaning on save: a host app's source of questions may deliver anything."""
	(name,) = make_questions(explanation="An explanation.")
	frappe.db.set_value(
		"Game Question", name, {"question": "<b>Q</b>" + "".join(VECTORS), "answer": "".join(VECTORS)}
	)
	(choice,) = make_questions(
		options=[{"option_text": text, "is_correct": i} for i, text in enumerate("ab")]
	)
	frappe.db.set_value("Game Question Option", {"parent": choice}, "option_text", "".join(VECTORS))
	frappe.db.commit()
	make_records(player, question_ids=[name, choice])
	requested = []
	pupil.page.on("request", lambda request: requested.append(request.url))
	pupil.open()
	expect(pupil.question).to_contain_text("Q")
	assert_harmless(pupil, ".question")
	pupil.button("Show answer").click()
	assert_harmless(pupil, ".answer")
	pupil.page.locator(".grade").first.click()
	expect(pupil.choices).to_have_count(2)
	assert_harmless(pupil, ".choice-text")
	assert not [url for url in requested if "example.com" in url]


def assert_harmless(pupil, place: str) -> None:
	found = pupil.page.eval_on_selector_all(
		f"{place} *",
		"""elements => elements.flatMap(e => [e.localName, ...e.getAttributeNames().map(n => `${n}=${e.getAttribute(n)}`)])""",
	)
	assert "b" in found or place != ".question"
	assert not {*found} & {"script", "svg", "iframe", "form", "math", "base", "meta", "details", "style"}
	assert not [text for text in found if re.match(r"(on|style|id|href=java)", text)]
	pupil.page.eval_on_selector_all(f"{place} *", "elements => elements.forEach(e => e.click())")
	assert pupil.page.evaluate("window.ran") is None


def test_the_browser_is_told_to_run_nothing_else(pupil):
	"""Should the page ever let something through."""
	pupil.open()
	pupil.page.evaluate("""() => {
		const script = Object.assign(document.createElement("script"), {textContent: "window.ran = 1"});
		const image = document.createElement("img");
		image.setAttribute("onerror", "window.ran = 1");
		document.body.append(script, image);
		image.dispatchEvent(new Event("error"));
	}""")
	assert pupil.page.evaluate("window.ran") is None


def test_what_content_may_show_is_shown(pupil, player):
	html = "<p>H<sub>2</sub>O <strong>is</strong> <a href='https://example.com/water'>water</a></p><ul><li>wet</li></ul>"
	(name,) = make_questions(question=html)
	make_records(player, question_ids=[name])
	pupil.open()
	expect(pupil.question.locator("sub")).to_have_text("2")
	expect(pupil.question.locator("li")).to_have_text("wet")
	link = pupil.question.locator("a")
	expect(link).to_have_attribute("target", "_blank")
	expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
	assert link.evaluate("link => getComputedStyle(link, '::after').content") not in ("none", "normal", '""')


PIXEL = b64decode(
	"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)


@pytest.fixture
def upload(web):
	"""Makes public files of the site, and returns their addresses."""

	def make(name: str, content: bytes) -> str:
		doc = frappe.get_doc({"doctype": "File", "file_name": name, "is_private": 0, "content": content})
		url = doc.insert(ignore_permissions=True).file_url
		frappe.db.commit()
		made.append(doc)
		return url

	made = []
	yield make
	for doc in made:
		doc.delete(ignore_permissions=True)
	frappe.db.commit()


def requests_of(page) -> list[str]:
	"""Lists the addresses that the page will ask for, beyond what the browser itself refuses to ask for."""
	requested = []
	page.on("response", lambda response: requested.append(response.url))
	page.on("requestfailed", lambda request: "csp" in request.failure or requested.append(request.url))
	page.route(lambda url: "127.0.0.1" not in url, lambda route: route.abort())
	return requested


CALLS = [
	"/api/method/logout",
	"/files/../api/method/logout",
	"/files/..%2fapi/method/logout",
	"//evil.example/a.png",
]


def test_a_picture_calls_nothing_but_files(pupil, player, upload):
	"""Past the cleaning on the server: the page has the same rules."""
	shown = upload("shown in a test.png", PIXEL)
	html = "".join(
		f'<img src="{url}"><audio src="{url}"></audio>' for url in [*CALLS, "https://evil.example/a.png"]
	)
	make_records(player, question_ids=make_questions(question="Q"))
	pupil.page.route("**/review", lambda route: put_into_page(route, f'{html}<img src="{shown}">'))
	requested = requests_of(pupil.page)
	pupil.open()
	expect(pupil.question.locator("img[src]")).to_have_count(1)
	image = pupil.question.locator("img[src]")
	pupil.page.wait_for_function("image => image.complete", arg=image.element_handle())
	assert image.evaluate("image => image.naturalWidth") == 1
	assert not [url for url in requested if "logout" in url or "evil" in url]
	assert who_is_signed_in(pupil.page) == pupil.learner.user


def who_is_signed_in(page) -> str:
	return page.request.get("/api/method/frappe.auth.get_logged_user").json()["message"]


def policy_of(page) -> str:
	return page.request.get("/review").headers["content-security-policy"]


def put_into_page(route, html: str) -> None:
	"""Puts HTML into the page's question on its way to the browser."""
	response = route.fetch()
	text = json.dumps(html).replace("<", "\\u003c").replace(">", "\\u003e")
	body = re.sub(r'"question":"[^"]*"', lambda _match: f'"question":{text}', response.text())
	assert text in body
	route.fulfill(response=response, body=body)


def test_the_browser_itself_runs_and_calls_nothing_else(pupil, player, upload):
	"""Should the page ever let something through: uploaded scripts and styles are files of this site, too."""
	script = upload("ran.js", b"window.ran = 1")
	style = upload("shown.css", b"body { --loaded: 1 }")
	requested = requests_of(pupil.page)
	pupil.open()
	pupil.page.evaluate(
		"""([script, style, calls]) => {
			const add = (name, values) => document.body.append(Object.assign(document.createElement(name), values));
			add("script", {src: script});
			add("script", {src: script, type: "module"});
			add("link", {rel: "stylesheet", href: style});
			for (const src of calls) add("img", {src});
			for (const src of calls) add("audio", {src});
			add("iframe", {src: "/api/method/logout"});
		}""",
		[script, style, [*CALLS, "/api/method/logout?x=/files/a.png"]],
	)
	pupil.page.wait_for_load_state("networkidle")
	assert pupil.page.evaluate("window.ran") is None
	assert not pupil.page.evaluate("getComputedStyle(document.body).getPropertyValue('--loaded')")
	assert not [url for url in requested if re.search(r"/api/method/logout|evil|ran\.js|shown\.css", url)]
	assert who_is_signed_in(pupil.page) == pupil.learner.user


def test_a_host_in_settings_may_show_pictures(pupil, player):
	frappe.get_single("Memora Settings").update({"media_hosts": "media.example.com"}).save()
	frappe.db.commit()
	address = "https://media.example.com/a.png"
	html = f'<img src="{address}"><img src="https://evil.example/a.png">'
	make_records(player, question_ids=make_questions(question=html))
	pupil.page.route(f"{address}*", lambda route: route.fulfill(body=PIXEL, content_type="image/png"))
	seen_by_all = time.monotonic() + settings.CACHE_SECONDS
	wait_until(lambda: time.monotonic() > seen_by_all, "all web processes to see the setting")
	assert address[:-6] in policy_of(pupil.page)
	pupil.open()
	image = pupil.question.locator("img[src]")
	expect(image).to_have_attribute("src", address)
	pupil.page.wait_for_function("image => image.complete", arg=image.element_handle())
	assert image.evaluate("image => image.naturalWidth") == 1


# Languages


def test_right_to_left(sit_down, player):
	names = make_questions(2, options=OPTIONS)
	make_records(player, question_ids=names)
	places = {}
	for language in ("en", "ar"):
		pupil = sit_down(language).open()
		expect(pupil.choices.first).to_be_visible()
		html = pupil.page.locator("html")
		expect(html).to_have_attribute("dir", "rtl" if language == "ar" else "ltr")
		expect(html).to_have_attribute("lang", language)
		boxes = [pupil.page.locator(place).bounding_box() for place in ("#subject", "#state", ".kicker bdi")]
		places[language] = [(box["x"], box["x"] + box["width"]) for box in boxes]
		width = pupil.page.viewport_size["width"]
	english, arabic = places["en"], places["ar"]
	assert english[0][1] == pytest.approx(width - arabic[0][0], abs=1)  # each ends where the other begins
	assert english[1][1] == pytest.approx(width - arabic[1][0], abs=1)
	assert english[2][0] == pytest.approx(width - arabic[2][1], abs=1)
	assert pupil.choices.nth(2).evaluate("e => getComputedStyle(e).direction") == "rtl"
	pupil.choices.nth(1).click()
	expect(pupil.page.locator(".verdict")).to_have_text("صحيح!")
	assert pupil.page.title() == "المراجعة"


@pytest.mark.parametrize("language", ["en", "ar"])
def test_nothing_is_wider_than_a_small_phone(sit_down, player, language):
	long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
	names = make_questions(1, question=long, answer=long)
	make_records(player, question_ids=names)
	pupil = sit_down(language, viewport={"width": 320, "height": 600}).open()
	for _ in ("question", "answer"):
		expect(pupil.question).to_be_visible()
		assert pupil.page.evaluate("document.documentElement.scrollWidth") == 320
		pupil.page.locator("[data-go-on]").click()
		if pupil.page.locator(".grade").count():
			break
	assert pupil.page.evaluate("document.documentElement.scrollWidth") == 320


def test_every_text_is_translated():
	translated = {}
	for language in ("en", "ar"):
		frappe.local.lang = language
		translated[language] = review_page.texts()
	frappe.local.lang = "en"
	for name, english in translated["en"].items():
		arabic = translated["ar"][name]
		assert arabic != english and re.search("[ء-ي]", arabic), name
		assert re.findall(r"{\d}", arabic) == re.findall(r"{\d}", english), name


# Accessible


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("en", "dark"), ("ar", "light")])
def test_accessible(sit_down, player, language, scheme):
	choice = make_questions(1, options=OPTIONS, explanation="<p>Because.</p>")
	reveal = make_questions(1)
	make_records(player, question_ids=[*choice, *reveal])
	pupil = sit_down(language, color_scheme=scheme, reduced_motion="reduce").open()
	go_on = pupil.page.locator("[data-go-on]")
	expect(pupil.choices.first).to_be_visible()
	assert_accessible(pupil)
	pupil.choices.nth(0).click()
	assert_accessible(pupil)
	go_on.click()
	go_on.click()
	expect(pupil.page.locator(".grade").first).to_be_visible()
	assert_accessible(pupil)
	pupil.page.context.set_offline(True)
	pupil.page.locator(".grade").last.click()
	pupil.choices.nth(1).click()
	go_on.click()
	expect(pupil.title).to_be_visible()
	assert_accessible(pupil)


def assert_accessible(pupil) -> None:
	found = Axe().run(pupil.page).response["violations"]
	assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")] == []
