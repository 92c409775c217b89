"""`./dev demo`: learners learn and review over HTTP for some days, then every store is compared.

Makes users learner01@example.com and so on, the season "Demo Season" and the questions that come with the
app, and leaves them for a person to look at. What these learners had in that season is deleted at the start;
nothing else of the site is changed. Exits with 1 if journal, tracker and cache disagree about anything.
"""

import argparse
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import frappe

from benchmarks import agreement, learners, replay, site
from benchmarks.classroom import AT_A_TIME, GET_REVIEW, Pupil, at_once
from benchmarks.client import Client, Timings, merged
from benchmarks.learners import Learner
from benchmarks.report import number, percentile, table
from benchmarks.season_days import let_days_pass
from devtools.report import Failure, say, say_failure, step
from memora.demo_data import load_question_set
from memora.services.figures import activity_rebuild, due_forecast

SEASON = site.DEMO_SEASON
COOKIE_LEARNERS = 4  # the others sign in by API key, as an app's clients do
LESSONS_FIRST_DAY, LESSONS_A_DAY = 2, 1
SHOWN_DISAGREEMENTS = 20


@dataclass
class Group:
	"""Some learners, and the seconds in which their requests were made."""

	title: str
	pupils: list[Pupil]
	seconds: float = 0.0
	disagreements: list[str] = field(default_factory=list)

	@property
	def users(self) -> list[str]:
		return [pupil.user for pupil in self.pupils]

	@property
	def answers(self) -> int:
		return sum(pupil.acknowledged.total() for pupil in self.pupils)

	@property
	def timings(self) -> Timings:
		return merged([pupil.client.timings for pupil in self.pupils])


def main() -> int:
	arguments = _parser().parse_args()
	try:
		with site.connected():
			return _run(arguments.days)
	except Failure as failure:
		say_failure(failure)
		return 1
	except KeyboardInterrupt:
		return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
	parser = argparse.ArgumentParser(prog="./dev demo", description="Learners at work, over HTTP.")
	parser.add_argument("--days", type=_days, default=5, help="days of reviews after the first day (5)")
	return parser


def _days(text: str) -> int:
	if not text.isdecimal() or not 1 <= int(text) <= 365:
		raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 to 365")
	return int(text)


def _run(days: int) -> int:
	groups = [_prepare_class()]
	_study(groups[0], days)
	if replay.file().is_file():
		groups.append(_replay(replay.file()))
	else:
		say(f"           no replay: there is no {replay.file()} (MEMORA_REVIEW_LOGS names another)")
	_count_anew()
	say(f"\n{_answers_table(groups)}\n\n{_requests_table(groups)}\n")
	return _verdict([sentence for group in groups for sentence in group.disagreements])


# The class


def _prepare_class() -> Group:
	with step(f"Making the season {SEASON}, active now"):
		site.activate(SEASON)
	with step("Loading the capitals of the world"):
		made = load_question_set()
		frappe.db.commit()
	say(f"           {made} questions are new on this site")
	with step(f"Making {learners.LEARNERS} learners"):
		members = learners.ensure_learners()
	_start_over([member.user for member in members])
	with step(f"Signing in: {COOKIE_LEARNERS} by session cookie and CSRF token, the others by API key"):
		pupils = [Pupil(_client(member, n < COOKIE_LEARNERS, n == 0)) for n, member in enumerate(members)]
		_check_csrf(pupils[0].client)
	return Group(f"{len(pupils)} learners", pupils)


def _client(member: Learner, by_cookie: bool = False, in_desk: bool = False) -> Client:
	client = Client(site.url(), member.user)
	if by_cookie:
		return client.log_in(learners.PASSWORD, page="app" if in_desk else "me")
	return client.use_token(member.key, member.secret)


def _check_csrf(client: Client) -> None:
	"""The teacher's session comes from the desk, so her answers need its CSRF token: see that they do."""
	token = client.session.headers.pop("X-Frappe-CSRF-Token")
	url = f"{site.url()}/api/method/memora.api.reviews.submit_review_session"
	status = client.session.post(url, json={"responses": []}).status_code
	client.session.headers["X-Frappe-CSRF-Token"] = token
	if status != 400:
		raise Failure(f"Answers without a CSRF token were answered {status}, not 400")


def _start_over(users: list[str]) -> None:
	with step(
		f"Starting over: deleting what {users[0]} … have in {SEASON}" if users[1:] else "Starting over"
	):
		deleted = site.delete_answers(SEASON, users)
	if deleted:
		say(f"           {deleted:,} answers of an earlier demo are gone")


def _study(group: Group, days: int) -> None:
	_one_day(group, "first day", LESSONS_FIRST_DAY)
	for day in range(1, days + 1):
		_night(group)
		_one_day(group, f"day {day} of {days}", LESSONS_A_DAY)
	_last_night(group)


def _one_day(group: Group, title: str, lessons: int) -> None:
	def work(pupil: Pupil) -> None:
		pupil.review_all()
		pupil.learn(lessons)

	before = group.answers
	with step(f"Reviews and lessons, {title}"):
		group.seconds += at_once(group.pupils, work)
	say(f"           {group.answers - before:,} answers")


# The nights


def _night(group: Group, days: int = 1, compare: bool = True) -> None:
	site.wait_until_folded(SEASON, group.users)
	if compare:
		_compare(group)
	let_days_pass(SEASON, group.users, days)


def _last_night(group: Group) -> None:
	"""After it something is due to whoever looks, and each schedule is in Redis again."""
	_night(group)
	at_once(group.pupils, lambda pupil: pupil.client.get(GET_REVIEW))


def _compare(group: Group) -> list[agreement.Account]:
	"""What the stores hold of these learners; where they disagree, the group remembers."""
	accounts = [agreement.account(SEASON, pupil) for pupil in group.pupils]
	for account in accounts:
		group.disagreements += agreement.disagreements(account)
	return accounts


# The replay


def _replay(path: Path) -> Group:
	answers = replay.read_answers(path)
	with step("Preparing the replay of a real learner's answers"):
		replay.ensure_questions(answers)
		member = learners.ensure_replay_learner()
	_start_over([member.user])

	def nights(day: int, count: int) -> None:
		_night(group, count, compare=day % replay.DAYS_A_LINE == 0)

	group = Group("replay", [Pupil(_client(member))])
	with step(f"Replaying {len(answers):,} answers"):
		group.seconds = replay.run(group.pupils[0], answers, nights)
		_last_night(group)
	return group


# The end


def _count_anew() -> None:
	"""The answers were moved into the past behind the back of those that count by day."""
	with step("Counting the days anew, and what falls due on the next"):
		site.delete_figures(SEASON)
		frappe.db.commit()  # what follows begins with a view of its own
		activity_rebuild.rebuild_activity(SEASON)
		due_forecast.compute_forecast(SEASON)


def _answers_table(groups: list[Group]) -> str:
	with step("Comparing journal, tracker and cache once more"):
		accounts = [_compare(group) for group in groups]
	rows = [["", *(group.title for group in groups)]]
	rows.append(["answers sent and acknowledged", *(number(group.answers) for group in groups)])
	for title, attribute in (
		("journalled", "answers_journalled"),
		("folded into the tracker", "answers_folded"),
		("due now, in Redis", "due_redis"),
		("due now, in MariaDB", "due_mariadb"),
	):
		sums = (sum(getattr(account, attribute) for account in of_group) for of_group in accounts)
		rows.append([title, *map(number, sums)])
	return table(rows)


def _requests_table(groups: list[Group]) -> str:
	rows = [["endpoint", "requests", "p50 ms", "p99 ms"]]
	for group in groups:
		timings = group.timings
		for method, ms in sorted(timings.items()):
			name = f"{method.rpartition('.')[2]}, {group.title}"
			rows.append(
				[name, number(len(ms)), number(percentile(ms, 0.5), 1), number(percentile(ms, 0.99), 1)]
			)
		requests = sum(map(len, timings.values()))
		rows.append([f"requests/s, {group.title}", number(requests / group.seconds), "", ""])
	return f"{table(rows)}\n\nThe learners worked {AT_A_TIME} at a time; the replay sent up to 50 answers at once."


def _verdict(found: list[str]) -> int:
	for sentence in found[:SHOWN_DISAGREEMENTS]:
		say(f"DISAGREE  {sentence}")
	if found:
		say(f"\n{len(found)} disagreements between journal, tracker and cache.")
		return 1
	say("Journal, tracker and cache agree about every learner and question.\n")
	_say_where()
	return 0


def _say_where() -> None:
	"""What a newcomer wants next: the site has to run, and somebody has to sign in."""
	url, teacher, learner = site.url(), "learner01@example.com", "learner02@example.com"
	say("Look for yourself:")
	say("  ./dev start   runs the site, if it is not running; Ctrl-C stops it")
	say(f"  {url}/review   the page on which learners answer")
	say(
		f"    Sign in as {learner}, password {learners.PASSWORD} (or learner03 to learner{learners.LEARNERS})."
	)
	say(f"  {url}/app/memora   what is answered, and what falls due")
	say(f"    Sign in as {teacher}, password {learners.PASSWORD}: a learner who may look at lists, too.")
	say(f"  {url}/app/player-memory-tracker   every learner's schedule")
	say(f"  {url}/app/player-review-log       every answer")
	say(f"  {url}/app/game-question           the questions")
	say("What is due, as an app asks for it:")
	say(f"  curl -c jar -d 'usr={learner}&pwd={learners.PASSWORD}' {url}/api/method/login")
	say(f"  curl -b jar {url}/api/method/memora.api.reviews.get_review_session")


if __name__ == "__main__":
	sys.exit(main())
