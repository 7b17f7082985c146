"""What every store promises about the curve of a run."""

import pytest
from support.builders import NOW, SECOND, training_run
from support.memory_store import MemoryDao

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.runs import CURVE_POINTS, CurvePoint, Phase, TrainingProgress


@pytest.fixture(params=["memory", "mongod"])
def dao(request: pytest.FixtureRequest) -> ClickstreamDao:
    """An empty store of each kind; mongomock's bulk writes know no updates of this pymongo."""
    return MemoryDao() if request.param == "memory" else MongoDao(request.getfixturevalue("database"))


def point(step: int, loss: float | None = 0.5, **metrics: float) -> CurvePoint:
    """A logged step, or a measurement where there is no loss."""
    rate = None if loss is None else 1e-4
    return CurvePoint(step, NOW + step * SECOND, loss=loss, learning_rate=rate, metrics=metrics)


def report(dao: ClickstreamDao, step: int, *points: CurvePoint, run_id: str = "run-1", owner: str = "me"):
    """A heartbeat with these points."""
    progress = TrainingProgress(Phase.TRAINING, step=step, step_count=9, points=points)
    return dao.runs.renew(run_id, owner, NOW + 60 * SECOND, progress)


def begun(dao: ClickstreamDao, *run_ids: str) -> None:
    """Runs that are leased to `me`."""
    for run_id in run_ids:
        dao.runs.create(training_run(run_id))
        dao.runs.claim("me", NOW, NOW + 60 * SECOND)


def test_r16_points_join_the_curve_of_their_run(dao: ClickstreamDao) -> None:
    """R16: points of all reports are read back by step, apart from other runs', and are no part of the progress."""
    begun(dao, "run-1", "run-10")
    assert dao.runs.curve("run-1") == []
    renewed = report(dao, 2, point(0, None, base_ndcg_at_10=0.25), point(1), point(2))
    assert renewed.progress == TrainingProgress(Phase.TRAINING, step=2, step_count=9)
    report(dao, 1, point(1, 0.75), run_id="run-10")
    report(dao, 10, point(9, 0.0), point(10))
    assert dao.runs.curve("run-1") == [
        point(0, None, base_ndcg_at_10=0.25),
        point(1),
        point(2),
        point(9, 0.0),
        point(10),
    ]
    assert dao.runs.curve("run-10") == [point(1, 0.75)]
    assert dao.runs.get("run-1").progress == TrainingProgress(Phase.TRAINING, step=10, step_count=9)


def test_r16_points_sent_twice_are_kept_once(dao: ClickstreamDao) -> None:
    """R1, R16: a report whose answer was lost is sent again; what comes later at one step is one point with it."""
    begun(dao, "run-1")
    for _ in range(2):
        report(dao, 2, point(1), point(2))
    report(dao, 2, point(2, None, validation_ndcg_at_10=0.5), point(2, None, validation_mrr_at_10=0.25))
    joined = point(2, validation_ndcg_at_10=0.5, validation_mrr_at_10=0.25)
    assert dao.runs.curve("run-1") == [point(1), joined]


def test_r16_a_resumed_run_logs_its_steps_again(dao: ClickstreamDao) -> None:
    """R16: the first points of an attempt take the curve back to the step that it goes on from; none is there twice."""
    begun(dao, "run-1")
    report(dao, 3, point(0, None, base_ndcg_at_10=0.25), point(1), point(2), point(3))
    report(dao, 0)  # the next attempt reads its inputs: nothing is lost yet
    assert len(dao.runs.curve("run-1")) == 4
    report(dao, 1, point(0, None, base_ndcg_at_10=0.25), point(1))
    assert [each.step for each in dao.runs.curve("run-1")] == [0, 1]
    report(dao, 2, point(2, 0.25))
    assert dao.runs.curve("run-1")[2:] == [point(2, 0.25)]


def test_r16_who_lost_the_run_writes_no_curve(dao: ClickstreamDao) -> None:
    """R16: the points of a worker that has lost its lease are dropped."""
    begun(dao, "run-1")
    report(dao, 1, point(1))
    assert report(dao, 0, point(0), owner="another") is None
    assert dao.runs.curve("run-1") == [point(1)]


def test_r7_a_curve_is_bounded(dao: ClickstreamDao) -> None:
    """R7: whatever a trainer sends, a reading of the curve ends."""
    begun(dao, "run-1")
    report(dao, 3 * CURVE_POINTS, *(point(step) for step in range(CURVE_POINTS * 2 + 5)))
    assert len(dao.runs.curve("run-1")) == 2 * CURVE_POINTS
