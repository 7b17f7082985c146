"""What became of batches equals a plain count."""

from collections import Counter
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders import training_run
from support.click_logs import JUDGED, POLICY, START, write_log
from support.memory_store import MemoryDao
from support.rollup_making import make_all, roll_ups_of

from clickstream.analytics.batch_progress import batch_progress
from clickstream.conversion.reader import InputReader
from clickstream.domain.analytics import day_of


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_what_converts_is_what_the_conversion_gives(seed: int) -> None:
    """For every batch, the convertible and skipped sessions are those of a conversion now, robots included."""
    dao = MemoryDao()
    searches = write_log(dao, seed, JUDGED)
    dao.batches.release("last", None, START)
    roll_ups = roll_ups_of(dao)
    make_all(roll_ups, dao, days=False)
    for sequence in (1, 2):
        batch = dao.batches.get(sequence)
        progress = batch_progress(dao, roll_ups, batch)
        members = [each for each in searches if each.batch == sequence]
        days = Counter(day_of(each.at) for each in members)
        assert progress.sessions_by_day == days
        assert progress.first_session_at == min(each.at for each in members)
        assert progress.last_session_at == max(each.at for each in members)
        reader = InputReader(dao, POLICY)
        summary = reader.new_summary(dao.robots.newest())
        list(reader.pages(sequence, batch.session_count, 0, summary))
        assert progress.converts == summary.input_count
        assert progress.skipped == dict(summary.skipped_sessions)


def test_an_erased_session_is_skipped_and_an_empty_batch_has_no_times() -> None:
    """Erased sessions keep their number in the counts; a batch without a session has none of them."""
    dao = MemoryDao()
    searches = write_log(dao, 3)
    dao.erase(searches[0].session.session_id)
    roll_ups = roll_ups_of(dao)
    make_all(roll_ups, dao, days=False)
    progress = batch_progress(dao, roll_ups, dao.batches.get(1))
    assert progress.skipped["erased"] == 1
    dao.batches.release("last", None, START)
    empty = batch_progress(dao, roll_ups, dao.batches.collecting())
    assert (empty.first_session_at, empty.converts, empty.skipped, empty.runs) == (None, 0, {}, [])


def test_the_runs_of_a_batch_are_listed_newest_first() -> None:
    """The latest 20 runs stand beside a batch."""
    dao = MemoryDao()
    write_log(dao, 3)
    for number in range(22):
        dao.runs.create(training_run(f"run-{number}", at=START + timedelta(minutes=number)))
    progress = batch_progress(dao, roll_ups_of(dao), dao.batches.get(1))
    assert [each.run_id for each in progress.runs] == [f"run-{number}" for number in range(21, 1, -1)]
