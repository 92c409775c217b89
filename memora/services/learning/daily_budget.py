"""How much one learner may answer on one learning day. The limits are in Memora Settings; 0 there means no limit.

They are far beyond what anybody learns, and keep a script from filling journal and outbox.
"""

import math
from datetime import timedelta

from frappe import _

from memora.exceptions import RateLimitExceeded
from memora.services.learning.season_scheduler import SeasonScheduler
from memora.services.settings import get_settings
from memora.services.store.records import Effort, Standing

WAITING_SUBMISSIONS = 500  # of one learner in the outbox: each of her requests reads them
FOLDED_SECONDS = 60  # by then a worker or the sweeper has folded some


def require_room(standing: Standing, how_many: int, scheduler: SeasonScheduler) -> None:
	"""Raises RateLimitExceeded if so many answers more are beyond the budget, or too many submissions wait to be folded.

	The first submission of a day is always within the budget, or it could never be sent.
	"""
	if standing.waiting >= WAITING_SUBMISSIONS:
		RateLimitExceeded.throw(FOLDED_SECONDS)
	limit, answers = get_settings().answers_per_day, standing.effort.answers
	if limit and answers and answers + how_many > limit:
		text = _("You have answered {0} questions today, and at most {1} are counted. Go on tomorrow.")
		RateLimitExceeded.throw(seconds_left(scheduler), text.format(answers, limit))


def is_practice_left(question_id: str, effort: Effort) -> bool:
	"""Says whether the learner may practise this question once more on the day of this effort."""
	limit = get_settings().practice_per_day
	return not limit or effort.count_practice(question_id) < limit


def practice_spent() -> str:
	return _("You have practised this question {0} times today. Go on tomorrow.").format(
		get_settings().practice_per_day
	)


def refuse_practice(scheduler: SeasonScheduler) -> None:
	"""Raises RateLimitExceeded until the next learning day."""
	RateLimitExceeded.throw(seconds_left(scheduler), practice_spent())


def seconds_left(scheduler: SeasonScheduler) -> int:
	"""Returns the seconds until the learner's next learning day, 1 at least."""
	tomorrow = scheduler.calendar.start_of(scheduler.today + timedelta(days=1))
	return math.ceil(tomorrow.timestamp() - scheduler.now.timestamp())
