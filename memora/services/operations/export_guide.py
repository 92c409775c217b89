"""What stands in the README.txt of a learner's export: each file and each column."""

# Of Memora Settings: what decided when she was asked
SETTINGS = (
	*("day_start_hour", "desired_retention", "new_per_day", "answers_per_day", "practice_per_day"),
	"time_zone",
)

GUIDE = """\
What Memora stores of you
=========================

Memora decides when you are asked a question again. These files hold all that it stores of you, of all seasons.
JSON files are lists, one row a line. CSV files hold the same rows as the JSON file of their name; where a text could be taken
for a formula by a spreadsheet, it begins with '. Texts are UTF-8. Dates and times are those of the school's time zone
(learner.json, time_zone). A learning day begins at the hour that settings.json names as day_start_hour.

learner.json: who you are to Memora
  id                        your number. All rows of yours carry it, and nothing else that names you
  user                      your account on this site
  learner_name              your name as your teachers see it
  merged_ids                further numbers of yours, from accounts that became one with this one
  exported_at, time_zone    when these files were made, and the time zone of all times in them

answers.json, answers.csv: each answer that you have given
  season                    the school year
  submission_id             answers that were sent together have one
  question_id               the question
  kind                      Learn: your first answer to it. Review: a later one. Practice: one that moved no date.
                            External: one that another program has judged and stored, without a grade
  quality, rating           the grade: 0 (nothing) to 5 (perfect), and Again, Hard, Good or Easy; 0 and empty for External
  response_time_ms          how long you took, in thousandths of a second; 0 if that was not measured
  reviewed_at               when you answered
  stability_before, difficulty_before, next_review_date_before
                            your memory of the question before the answer: for how many days it was likely to last, how hard the
                            question is for you (1 to 10), and when you were to be asked. At the first answer of a school
                            year 0 or empty, unless you knew it from the year before
  predicted_recall          how likely (0 to 1) you were to know it
  stability_after, difficulty_after, next_review_date_after
                            the same after the answer
  source                    where the answer came from
  graded_by                 Server: this site compared your choice with the right one. Learner: you graded yourself
  chosen                    the option that you chose
  creation                  when the answer was stored

records.json, records.csv: your memory of each question now
  season, question_id       as above
  subject, topic            what the question belongs to now
  stability, difficulty     as above
  state                     Review
  reps, lapses              how often you answered, and how often you had forgotten
  next_review_date          when you are to be asked again
  last_review_date          when you answered last
  creation                  when you answered first

archive.json, archive.csv: the same of school years that are over
  archived_at               when the record went to the archive; empty while it is on its way

days.json: what you did on the last learning days, for your daily budget
  day, season               the learning day
  answers                   how many answers you gave
  practised                 8 characters for each answer that was practice, which stand for its question
  learnt                    how many questions you answered for the first time

admissions.json: when you were let in within the last minute, in case this site was overloaded
  admitted_at               the moment, in UTC

imports.json: decks of Anki from which answers of yours were imported
  name, creation, file      the import, when it was made, and the file
  subject, status           what the questions became part of, and what has become of the import
  reviews, reviews_imported how many answers the deck had, and how many of them were taken

settings.json: what this site has set for all learners, and what your dates depend on
  day_start_hour            the hour at which a learning day begins
  desired_retention         how likely you shall still know a question when you are asked
  new_per_day, answers_per_day, practice_per_day
                            how much one learning day may bring; 0 means without limit
  time_zone                 the school's
"""
