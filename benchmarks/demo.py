"""`./dev demo`: learners learn and review over HTTP for some days, then journal, tracker and cache are compared.

The demo makes the users learner01@example.com and so on, the season "Demo Season", and the questions that come with
the app. They stay, for a person to look at. The demo first deletes the answers that these learners have in that season.
It changes nothing else on the site. It exits with 1 if journal, tracker and cache disagree.
"""

import argparse
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import frappe

from benchmarks import agreement, demo_users, replay, site
from benchmarks.classroom import AT_A_TIME, GET_REVIEW, Learner, at_once
from benchmarks.client import Client, Timings, merged
from benchmarks.demo_users import Credentials
from benchmarks.report import number, percentile, table
from benchmarks.season_days import let_days_pass
from devtools.report import Failure, say, say_failure, step
from memora.demo_data import load_question_set
from memora.services.figures import activity_rebuild, due_forecast
from memora.services.learning.learners import identify

SEASON = site.DEMO_SEASON
COOKIE_LEARNERS = 4  # the other learners sign in by API key, as an app's clients do
LESSONS_FIRST_DAY, LESSONS_A_DAY = 2, 1
SHOWN_DISAGREEMENTS = 20


@dataclass
class Group:
	"""Some learners, and the seconds that their requests took."""

	title: str
	learners: list[Learner]
	seconds: float = 0.0
	disagreements: list[str] = field(default_factory=list)

	@property
	def ids(self) -> list[str]:
		return [learner.id for learner in self.learners]

	@property
	def answers(self) -> int:
		return sum(learner.acknowledged.total() for learner in self.learners)

	@property
	def timings(self) -> Timings:
		return merged([learner.client.timings for learner in self.learners])


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
	parser = argparse.ArgumentParser(prog="./dev demo", description="Learners learn and review over HTTP.")
	parser.add_argument("--days", type=_days, default=5, help="days after the first day (default: 5)")
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
		say(f"           no replay: there is no {replay.file()} (MEMORA_REVIEW_LOGS can name another file)")
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
	with step(f"Making {demo_users.LEARNERS} learners"):
		members = demo_users.ensure_learners()
	_start_over(members)
	with step(f"Signing in: {COOKIE_LEARNERS} by session cookie and CSRF token, the others by API key"):
		learners = [Learner(_client(member, n < COOKIE_LEARNERS, n == 0)) for n, member in enumerate(members)]
		_check_csrf(learners[0].client)
	return Group(f"{len(learners)} learners", learners)


def _client(member: Credentials, by_cookie: bool = False, in_desk: bool = False) -> Client:
	client = Client(site.url(), member.user)
	if by_cookie:
		return client.log_in(demo_users.PASSWORD, page="app" if in_desk else "me")
	return client.use_token(member.key, member.secret)


def _check_csrf(client: Client) -> None:
	"""Raises Failure if the server accepts answers of the teacher, who signed in to the desk, without a CSRF token."""
	token = client.session.headers.pop("X-Frappe-CSRF-Token")
	url = f"{site.url()}/api/method/memora.api.reviews.submit_review_session"
	status = client.session.post(url, json={"responses": []}).status_code
	client.session.headers["X-Frappe-CSRF-Token"] = token
	if status != 400:
		raise Failure(f"Answers without a CSRF token were answered {status}, not 400")


def _start_over(members: list[Credentials]) -> None:
	with step(f"Deleting earlier answers in {SEASON}"):
		deleted = site.delete_answers(SEASON, [identify(member.user) for member in members])
	if deleted:
		say(f"           {deleted:,} answers of an earlier demo are gone")


def _study(group: Group, days: int) -> None:
	_one_day(group, "first day", LESSONS_FIRST_DAY)
	for day in range(1, days + 1):
		_night(group)
		_one_day(group, f"day {day} of {days}", LESSONS_A_DAY)
	_last_night(group)


def _one_day(group: Group, title: str, lessons: int) -> None:
	def work(learner: Learner) -> None:
		learner.review_all()
		learner.learn(lessons)

	before = group.answers
	with step(f"Reviews and lessons, {title}"):
		group.seconds += at_once(group.learners, work)
	say(f"           {group.answers - before:,} answers")


# The nights


def _night(group: Group, days: int = 1, compare: bool = True) -> None:
	site.wait_until_folded(SEASON, group.ids)
	if compare:
		_compare(group)
	let_days_pass(SEASON, group.ids, days)


def _last_night(group: Group) -> None:
	"""Ends the demo with a night, so that a person finds due questions, and reads each schedule into Redis again."""
	_night(group)
	at_once(group.learners, lambda learner: learner.client.get(GET_REVIEW))


def _compare(group: Group) -> list[agreement.Account]:
	"""Returns what the stores hold of each learner, and adds their disagreements to the group."""
	accounts = [agreement.account(SEASON, learner) for learner in group.learners]
	for account in accounts:
		group.disagreements += agreement.disagreements(account)
	return accounts


# The replay


def _replay(path: Path) -> Group:
	answers = replay.read_answers(path)
	with step("Preparing the replay of a real learner's answers"):
		replay.ensure_questions(answers)
		member = demo_users.ensure_replay_learner()
	_start_over([member])

	def nights(day: int, count: int) -> None:
		_night(group, count, compare=day % replay.DAYS_A_LINE == 0)

	group = Group("replay", [Learner(_client(member))])
	with site.without_limits(), step(f"Replaying {len(answers):,} answers"):
		group.seconds = replay.run(group.learners[0], answers, nights)
		_last_night(group)
	return group


# The end


def _count_anew() -> None:
	"""Counts answers by day again: the demo moved answers into the past without telling the code that counts them."""
	with step("Counting the answers of each day again, and what falls due on the next days"):
		site.delete_figures(SEASON)
		frappe.db.commit()  # the count must see the deletion, and starts a transaction of its own
		activity_rebuild.rebuild_activity(SEASON)
		due_forecast.compute_forecast(SEASON)


def _answers_table(groups: list[Group]) -> str:
	with step("Comparing journal, tracker and cache a last time"):
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
			p50, p99 = (number(percentile(ms, share), 1) for share in (0.5, 0.99))
			rows.append([name, number(len(ms)), p50, p99])
		requests = sum(map(len, timings.values()))
		rows.append([f"requests/s, {group.title}", number(requests / group.seconds), "", ""])
	return f"{table(rows)}\n\n{AT_A_TIME} learners worked at a time. The replay sent up to 50 answers in a submission."


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
	"""Tells a newcomer how to run the site, which pages to open, and how to sign in."""
	url, teacher, learner = site.url(), "learner01@example.com", "learner02@example.com"
	password, last = demo_users.PASSWORD, f"learner{demo_users.LEARNERS}"
	say("Look for yourself:")
	say("  ./dev start   runs the site, if it is not running; Ctrl-C stops it")
	say(f"  {url}/review   the page on which learners answer")
	say(f"    Sign in as {learner}, password {password} (or as learner03 to {last}).")
	say(f"  {site.desk_url('Memora')}   how many answers were given, and what falls due")
	say(f"    Sign in as {teacher}, password {password}, who may look at the lists.")
	say(f"  {site.desk_url('Player Memory Tracker')}   every learner's schedule")
	say(f"  {site.desk_url('Player Review Log')}       every answer")
	say(f"  {site.desk_url('Game Question')}           the questions")
	say("How an app asks what is due:")
	say(f"  curl -c jar -d 'usr={learner}&pwd={password}' {url}/api/method/login")
	say(f"  curl -b jar {url}/api/method/memora.api.reviews.get_review_session")


if __name__ == "__main__":
	sys.exit(main())
