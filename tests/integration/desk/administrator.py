"""An administrator before the desk, as tests drive him."""

from urllib.parse import quote

from playwright.sync_api import Locator, Page

# Frappe 16.4 looks for a page's sidebar in the options of the route, which a list or a report may have used up by then.
FRAPPES_OWN_ERROR = "Cannot read properties of null (reading 'sidebar')"


class Administrator:
	"""His browser window. A script that fails in it is kept in `errors`."""

	def __init__(self, page: Page, name: str) -> None:
		self.page, self.name = page, name
		self.errors: list[str] = []
		page.on("pageerror", lambda error: str(error) == FRAPPES_OWN_ERROR or self.errors.append(str(error)))
		self.state = page.locator(".memora-state")
		self.indicator = page.locator(".page-head .indicator-pill:visible")
		self.dialog = page.locator(".modal.show:not(:has(.msgprint))")
		self.message = page.locator(".modal.show .msgprint")

	def sign_in(self, password: str) -> None:
		done = self.page.request.post("/api/method/login", form={"usr": self.name, "pwd": password})
		assert done.ok, done.text()

	def watch_requests(self) -> None:
		"""From now on, a request that is refused or fails is an error. socket.io is not asked: it doesn't run beside the tests."""
		self.page.on("response", lambda reply: reply.status >= 400 and self.errors.append(reply.url))
		self.page.route("**/socket.io/*", lambda route: route.abort())

	def open_form(self, doctype: str, name: str) -> None:
		self.page.goto(f"/app/{doctype.lower().replace(' ', '-')}/{quote(name)}")

	def fill(self, field: str, value: str) -> None:
		field_input = self.page.locator(f"input[data-fieldname={field}]:visible")
		field_input.fill(value)
		field_input.press("Tab")

	def act(self, label: str) -> None:
		"""Chooses one of the form's actions."""
		self.page.get_by_role("button", name="Actions").first.click()
		self.page.locator(".dropdown-item:visible").get_by_text(label, exact=True).click()

	def confirm(self) -> None:
		"""Presses the button of the dialog that is shown."""
		self.dialog.locator(".modal-footer .btn-modal-primary").click()

	def close_message(self) -> None:
		self.page.locator(".modal.show:has(.msgprint) .btn-modal-close").click()

	def bar(self, kind: str) -> Locator:
		return self.page.locator(f".memora-progress[data-kind={kind}] .progress-bar")
