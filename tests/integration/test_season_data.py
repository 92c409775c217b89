"""The rows that benchmarks make in bulk are rows of the app."""

from benchmarks import season_data
from memora.services import site_time
from memora.services.store import partitions, tracker

SEASON, LEARNERS, QUESTIONS = "Filled Season", 3, 40


def test_the_app_reads_a_filled_season_and_none_of_it_stays():
	now = site_time.naive_now()
	ids = [season_data.question_id(number) for number in range(QUESTIONS)]
	with season_data.season(SEASON):
		assert season_data.fill(SEASON, LEARNERS, QUESTIONS) == LEARNERS * QUESTIONS
		for player in map(season_data.learner, range(LEARNERS)):
			records = tracker.get_all_records(player, SEASON)
			assert records.keys() == set(ids)
			assert tracker.get_records(player, SEASON, ids) == records
			due, total = tracker.get_due(player, SEASON, now, QUESTIONS)
			assert {r.question_id for r in due} == {
				q for q, r in records.items() if r.next_review_date <= now
			}
			assert total == len(due)
			assert all(r.creation <= r.last_review_date < r.next_review_date for r in records.values())
	assert not partitions.has_partitions(SEASON)
