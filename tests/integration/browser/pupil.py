"""A learner before the page /review, as tests drive her."""

from playwright.sync_api import Locator, Page, expect

from tests.integration import state
from tests.integration.factories import Learner


class Pupil:
	"""Her browser window. What it says is waited for; a script that fails there fails the test."""

	def __init__(self, page: Page, learner: Learner) -> None:
		self.page, self.learner, self.name = page, learner, learner.name
		self.errors: list[str] = []
		page.on("pageerror", lambda error: self.errors.append(str(error)))
		self.question = page.locator(".question")
		self.choices = page.locator(".choice")
		self.state = page.locator("#state-text")
		self.title = page.locator(".screen h2")

	def sign_in(self, password: str) -> None:
		done = self.page.request.post("/api/method/login", form={"usr": self.learner.user, "pwd": password})
		assert done.ok, done.text()

	def open(self, path: str = "/review") -> "Pupil":
		self.page.goto(path)
		return self

	def button(self, name: str) -> Locator:
		return self.page.get_by_role("button", name=name)

	def grade(self, rating: str) -> None:
		"""Reveals the answer of the card that is shown and grades herself."""
		self.button("Show answer").click()
		self.page.locator(".grade", has_text=rating).click()

	def sees(self, question_id: str) -> None:
		expect(self.question).to_have_text(f"What is {question_id}?")

	def send(self) -> None:
		"""Has the page send without waiting for more answers, as when the network is back."""
		self.page.evaluate("dispatchEvent(new Event('online'))")

	def has_saved(self) -> None:
		"""The page says so once it has sent, and all that she has done is in the journal."""
		self.send()
		expect(self.state).to_have_text("Saved")
		assert self.errors == []

	def journal(self) -> list[tuple[str, str, int]]:
		"""(question, kind, quality) of what the server has, in order; answers of one submission by their questions."""
		rows = sorted(state.journal(self.name), key=lambda row: (row.reviewed_at, row.question_id))
		return [(row.question_id, row.kind, row.quality) for row in rows]
