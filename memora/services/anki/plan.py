"""Plans the import of an Anki deck: the questions to make, and the cards and media to leave out, with the reason."""

from collections import Counter
from dataclasses import dataclass, field

from frappe import _
from frappe.utils import strip_html

from memora.exceptions import UnusableCard
from memora.services.anki.cards import is_empty, render_card
from memora.services.anki.media import Media
from memora.services.anki.package import AnkiPackage, Card
from memora.services.store import row_names

EXCERPT = 120  # characters


@dataclass(frozen=True)
class Item:
	"""A question to make. Its HTML is clean; its media have the names that they have in the package."""

	question_id: str
	card: Card
	question: str
	answer: str
	media: set[str]


@dataclass(frozen=True)
class Problem:
	note: str
	deck: str
	guid: str
	reason: str


@dataclass
class Plan:
	"""The plan for one package. `skipped` counts cards and notes; `problems` names each of them, and unusable media."""

	notes: int = 0
	skipped: int = 0
	items: list[Item] = field(default_factory=list)
	problems: list[Problem] = field(default_factory=list)

	@property
	def decks(self) -> Counter[str]:
		"""Returns how many questions each deck makes."""
		return Counter(item.card.deck for item in self.items)

	@property
	def media(self) -> int:
		return len({name for item in self.items for name in item.media})


def make_plan(package: AnkiPackage, media: Media) -> Plan:
	"""Makes a question of each card of a package, and a problem of what can't be a question.

	Raises InvalidAnkiPackage when the questions show too many media.
	"""
	plan = Plan(notes=len({card.guid for card in package.cards}) + len(package.orphans))
	known: dict[tuple[str, str], Card] = {}
	for card in package.cards:
		try:
			item, problems = _item(card, media)
			_refuse_double(item, known)
		except UnusableCard as error:
			plan.skipped += 1
			plan.problems.append(_problem(card, str(error)))
			continue
		plan.items.append(item)
		plan.problems += [_problem(card, f"{name} {reason}") for name, reason in problems.items()]
	for guid, values in package.orphans:
		plan.skipped += 1
		plan.problems.append(Problem(excerpt(values), "", str(guid), _("The note has no cards.")))
	return plan


def _item(card: Card, media: Media) -> tuple[Item, dict[str, str]]:
	faces = render_card(card)
	question, shown, problems = media.keep_usable(faces.question)
	answer, also_shown, more_problems = media.keep_usable(faces.answer)
	problems |= more_problems
	if is_empty(question) or is_empty(answer):
		reasons = "; ".join(f"{name} {reason}" for name, reason in problems.items())
		raise UnusableCard(
			_("Nothing is left of the card after its forbidden parts are removed. {0}").format(reasons)
		)
	name = f"anki-{row_names.digest(card.guid, str(card.ordinal))}"
	return Item(name, card, question, answer, shown | also_shown), problems


def _refuse_double(item: Item, known: dict[tuple[str, str], Card]) -> None:
	other = known.setdefault((item.question, item.answer), item.card)
	if other is not item.card:
		raise UnusableCard(_("The note {0} has the same question and answer.").format(other.guid))


def _problem(card: Card, reason: str) -> Problem:
	return Problem(excerpt(card.values[0]), card.deck, card.guid, reason)


def excerpt(html: str) -> str:
	"""Returns the beginning of a text in HTML; of a note's fields, of the first field."""
	return strip_html(html.partition("\x1f")[0]).strip()[:EXCERPT]
