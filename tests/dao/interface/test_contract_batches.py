"""What every store promises about batches."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.builders import NOW, SECOND, session_draft, session_drafts

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain import limits
from clickstream.domain.batches import ALLOWED_CHANGES, BatchStatus, StatusChange
from clickstream.domain.errors import AlreadyExists, ClickstreamError, FailedPrecondition, NotFound

TRAINABLE = frozenset({BatchStatus.RELEASED, BatchStatus.TRAINED, BatchStatus.FAILED})
TRAINING = frozenset({BatchStatus.TRAINING})
NONE: frozenset = frozenset()


def release(dao: ClickstreamDao, count: int = 1) -> None:
    """Fills and releases `count` batches, under the release ids r-1, r-2 and so on."""
    for number in range(1, count + 1):
        dao.sessions.append([session_draft(f"of-{number}")])
        dao.batches.release(f"r-{number}", None, NOW + number * SECOND)


def change(dao: ClickstreamDao, expected: frozenset[BatchStatus], to: BatchStatus, run_id: str = "run-1"):
    """Changes the status of the first batch."""
    return dao.batches.change_status(1, expected, to, run_id=run_id, reason="why", at=NOW)


def test_r8_a_batch_collects_before_the_first_session(dao: ClickstreamDao) -> None:
    """R8: an empty store already has the one batch that collects."""
    collecting = dao.batches.collecting()
    assert (collecting.batch_id, collecting.status, collecting.session_count) == ("batch-1", "collecting", 0)
    assert dao.batches.get(1) == collecting
    assert dao.batches.get(2) is None
    assert dao.batches.list(None, 10, frozenset()) == [collecting]


def test_r8_a_release_opens_the_next_batch(dao: ClickstreamDao) -> None:
    """R8, R10: a released batch is closed with its count, and the next session opens the next batch at 1."""
    dao.sessions.append(session_drafts(3))
    released = dao.batches.release("r-1", None, NOW)
    assert (released.sequence, released.status, released.session_count) == (1, "released", 3)
    assert (released.release_id, released.released_at, released.opened_at) == ("r-1", NOW, None)
    assert released.history == [StatusChange(BatchStatus.RELEASED, NOW, "release r-1")]
    collecting = dao.batches.collecting()
    assert (collecting.sequence, collecting.session_count, collecting.opened_at) == (2, 0, NOW)
    [appended] = dao.sessions.append([session_draft("after")])
    assert (appended.session.batch, appended.session.number) == (2, 1)
    assert dao.batches.get(1) == released
    assert dao.batches.release("r-2", None, NOW + SECOND).opened_at == NOW


def test_r10_a_release_is_idempotent_by_its_id(dao: ClickstreamDao) -> None:
    """R10: the same release id gives the same batch for ever, with and without its name, and releases nothing more."""
    release(dao)
    first = dao.batches.get(1)
    dao.sessions.append(session_drafts(2))
    assert dao.batches.release("r-1", None, NOW + SECOND) == first
    assert dao.batches.release("r-1", 1, NOW + SECOND) == first
    assert dao.batches.collecting().session_count == 2


def test_r10_a_repeated_release_shows_the_batch_as_it_is_now(dao: ClickstreamDao) -> None:
    """R10: a retry of a release after the batch went on does not set the batch back."""
    release(dao)
    change(dao, TRAINABLE, BatchStatus.TRAINING)
    assert dao.batches.release("r-1", None, NOW).status is BatchStatus.TRAINING


def test_r10_what_cannot_be_released_says_why(dao: ClickstreamDao) -> None:
    """R10: an empty, absent or already released batch, and a taken release id, are refused and change nothing."""
    with pytest.raises(FailedPrecondition) as empty:
        dao.batches.release("r-0", None, NOW)
    assert empty.value.reason == "BATCH_EMPTY"
    release(dao)
    dao.sessions.append([session_draft("more")])
    with pytest.raises(NotFound) as absent:
        dao.batches.release("r-x", 3, NOW)
    assert absent.value.reason == "BATCH_NOT_FOUND"
    with pytest.raises(FailedPrecondition) as earlier:
        dao.batches.release("r-x", 1, NOW)
    assert earlier.value.reason == "BATCH_ALREADY_RELEASED"
    with pytest.raises(AlreadyExists) as taken:
        dao.batches.release("r-1", 2, NOW)
    assert taken.value.reason == "CONTENT_CONFLICT"
    assert [batch.status for batch in dao.batches.list(None, 10, frozenset())] == ["collecting", "released"]


def test_r10_an_empty_batch_after_a_release_cannot_be_released(dao: ClickstreamDao) -> None:
    """R10: two schedulers with ids of their own release one batch, not an empty second."""
    release(dao)
    with pytest.raises(FailedPrecondition) as empty:
        dao.batches.release("r-2", None, NOW)
    assert empty.value.reason == "BATCH_EMPTY"


def test_r10_of_many_releases_at_once_one_closes_the_batch(dao: ClickstreamDao) -> None:
    """R10: racing releases with one id all get the one batch; those with other ids are refused."""

    def attempt(release_id: str) -> object:
        try:
            return dao.batches.release(release_id, None, NOW)
        except ClickstreamError as error:
            return error.reason

    with ThreadPoolExecutor(6) as pool:
        for batch in range(1, 9):
            dao.sessions.append(session_drafts(3, f"of-{batch}"))
            same = f"same-{batch}"
            answers = list(pool.map(attempt, [same, same, f"x-{batch}", same, f"y-{batch}", same]))
            released = dao.batches.get(batch)
            assert released.session_count == 3
            winners = sum(answer == released for answer in answers)
            assert winners == (4 if released.release_id == same else 1)
            assert answers.count("BATCH_EMPTY") == len(answers) - winners
            assert dao.batches.collecting().sequence == batch + 1


def test_r8_batches_are_listed_newest_first(dao: ClickstreamDao) -> None:
    """R8: a listing begins with the batch that collects, goes down by sequence, and can go on below one."""
    release(dao, 3)
    dao.batches.change_status(2, TRAINABLE, BatchStatus.TRAINING, run_id="r", reason="", at=NOW)
    everything = dao.batches.list(None, 10, frozenset())
    assert [batch.sequence for batch in everything] == [4, 3, 2, 1]
    assert [batch.sequence for batch in dao.batches.list(None, 2, frozenset())] == [4, 3]
    assert dao.batches.list(3, 10, frozenset()) == everything[2:]
    assert dao.batches.list(4, 10, frozenset({BatchStatus.RELEASED})) == [everything[1], everything[3]]
    assert dao.batches.list(None, 10, frozenset({BatchStatus.COLLECTING})) == [everything[0]]
    assert dao.batches.list(4, 10, frozenset({BatchStatus.COLLECTING})) == []
    assert dao.batches.list(1, 10, frozenset()) == []


@pytest.mark.parametrize("start", [BatchStatus.RELEASED, BatchStatus.TRAINED, BatchStatus.FAILED])
@pytest.mark.parametrize("to", list(BatchStatus))
def test_r10_a_status_changes_only_along_the_arrows(dao: ClickstreamDao, start: BatchStatus, to: BatchStatus) -> None:
    """R10: an allowed change is written with its reason, run and time; a forbidden one is a defect of the caller."""
    release(dao)
    if start is not BatchStatus.RELEASED:
        change(dao, TRAINABLE, BatchStatus.TRAINING)
        change(dao, TRAINING, start)
    if to not in ALLOWED_CHANGES[start]:
        with pytest.raises(ValueError, match="never"):
            change(dao, frozenset({start}), to)
        assert dao.batches.get(1).status is start
        return
    changed = change(dao, frozenset({start}), to, "run-2")
    assert (changed.status, changed.run_id, changed.history[-1].reason) == (to, "run-2", "why")
    assert dao.batches.get(1) == changed


def test_r10_a_batch_that_collects_cannot_change_its_status(dao: ClickstreamDao) -> None:
    """R10: only a release closes the collecting batch."""
    dao.sessions.append(session_drafts(1))
    assert change(dao, TRAINABLE, BatchStatus.TRAINING) is None
    assert dao.batches.get(1).status is BatchStatus.COLLECTING


def test_r10_training_belongs_to_one_run(dao: ClickstreamDao) -> None:
    """R10, R16: a second run cannot begin on, or end, a batch in training; the first one's retries change nothing."""
    release(dao)
    begun = change(dao, TRAINABLE, BatchStatus.TRAINING)
    assert change(dao, TRAINABLE, BatchStatus.TRAINING, "run-2") is None
    assert change(dao, TRAINING, BatchStatus.FAILED, "run-2") is None
    assert change(dao, TRAINABLE, BatchStatus.TRAINING) == begun
    ended = change(dao, TRAINING, BatchStatus.TRAINED)
    assert change(dao, TRAINING, BatchStatus.TRAINED) == ended
    assert change(dao, TRAINING, BatchStatus.FAILED) is None
    assert [entry.status for entry in ended.history] == ["released", "training", "trained"]


def test_r10_of_two_runs_at_once_one_gets_the_batch(dao: ClickstreamDao) -> None:
    """R10: the change is a compare-and-set: of racing runs exactly one begins."""
    release(dao)
    with ThreadPoolExecutor(6) as pool:
        begun = list(pool.map(lambda run: change(dao, TRAINABLE, BatchStatus.TRAINING, f"run-{run}"), range(6)))
    [winner] = [batch for batch in begun if batch is not None]
    assert dao.batches.get(1) == winner


def test_r7_a_batch_keeps_its_newest_status_changes(dao: ClickstreamDao, monkeypatch) -> None:
    """R7: a history is bounded, and its newest entries stay."""
    monkeypatch.setattr(limits, "STATUS_CHANGES_KEPT", 3)
    release(dao)
    for run in range(3):
        change(dao, TRAINABLE, BatchStatus.TRAINING, f"run-{run}")
        change(dao, TRAINING, BatchStatus.FAILED, f"run-{run}")
    assert [entry.status for entry in dao.batches.get(1).history] == ["failed", "training", "failed"]


def test_r10_what_trained_long_ago_is_archived_the_oldest_first(dao: ClickstreamDao) -> None:
    """R10: archiving takes batches whose training ended before a time, one by one, and leaves all the others."""
    release(dao, 4)
    for sequence, ends_at in ((3, NOW), (1, NOW + SECOND), (2, NOW + 9 * SECOND)):
        for expected, to in ((TRAINABLE, BatchStatus.TRAINING), (TRAINING, BatchStatus.TRAINED)):
            dao.batches.change_status(sequence, expected, to, run_id="run-1", reason="", at=ends_at)
    archived = []
    while batch := dao.batches.archive(NOW + 9 * SECOND, "old", NOW + 10 * SECOND, leaving=NONE):
        archived.append(batch.sequence)
        last = batch.history[-1]
        assert (batch.status, batch.run_id) == (BatchStatus.ARCHIVED, "run-1")
        assert (last.status, last.reason, last.at) == (BatchStatus.ARCHIVED, "old", NOW + 10 * SECOND)
        assert dao.batches.get(batch.sequence) == batch
    assert archived == [3, 1]
    assert [dao.batches.get(sequence).status for sequence in (2, 4)] == [BatchStatus.TRAINED, BatchStatus.RELEASED]


def test_r10_a_batch_in_training_is_never_archived(dao: ClickstreamDao) -> None:
    """R10: a batch that trains again after its first training stays until that has ended."""
    release(dao)
    for expected, to in ((TRAINABLE, BatchStatus.TRAINING), (TRAINING, BatchStatus.FAILED)):
        change(dao, expected, to)
    change(dao, TRAINABLE, BatchStatus.TRAINING, "run-2")
    assert dao.batches.archive(NOW + SECOND, "old", NOW + SECOND, leaving=NONE) is None
    change(dao, TRAINING, BatchStatus.FAILED, "run-2")
    assert dao.batches.archive(NOW + SECOND, "old", NOW + SECOND, leaving=NONE).status is BatchStatus.ARCHIVED


def test_r10_archiving_leaves_the_batches_that_it_has_report_to_leave(dao: ClickstreamDao) -> None:
    """R10: of batches whose training ended long ago, those to be left stay as they are, and the next one goes."""
    release(dao, 3)
    for sequence in (1, 2, 3):
        for expected, to in ((TRAINABLE, BatchStatus.TRAINING), (TRAINING, BatchStatus.TRAINED)):
            dao.batches.change_status(sequence, expected, to, run_id="run-1", reason="", at=NOW)
    assert dao.batches.archive(NOW + SECOND, "old", NOW + SECOND, leaving={1, 3}).sequence == 2
    assert dao.batches.archive(NOW + SECOND, "old", NOW + SECOND, leaving={1, 3}) is None
    assert [dao.batches.get(sequence).status for sequence in (1, 3)] == [BatchStatus.TRAINED, BatchStatus.TRAINED]
