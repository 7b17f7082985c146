"""The parts of analytics: what computes answers, and the upkeep of roll-ups. Both load polars, so imports are late."""

import asyncio
import contextlib
import gc
import os
import socket
import threading
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

from clickstream.app.clock import now
from clickstream.app.settings import Settings
from clickstream.app.trainer import default_settings
from clickstream.conversion.importance import ImportancePolicy
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.analytics import parse_segments
from clickstream.quality.robot_policy import RobotPolicy

if TYPE_CHECKING:
    from clickstream.analytics.frame_rules import FrameRules
    from clickstream.servicers.answers import Answers

# A serving process that does no other work without a caller keeps roll-ups only if no worker did so for this long.
FREE_FOR = timedelta(seconds=60)
# The share of the time that a serving process spends on roll-ups while it catches up: it has calls to answer.
SERVING_SHARE = 0.5
# Longest wait for the row in hand. Then the process ends without it: a store that does not answer delays no drain.
STOP_SECONDS = 5.0


def answers(settings: Settings, policy: ImportancePolicy, robot_policy: RobotPolicy, dao: MongoDao) -> "Answers":
    """What computes the answers of AnalyticsService."""
    from clickstream.servicers.answers import Answers

    return Answers(dao, _rules(settings, policy), robot_policy, default_settings(settings), now)


def _rules(settings: Settings, policy: ImportancePolicy) -> "FrameRules":
    from clickstream.analytics.frame_rules import FrameRules

    return FrameRules(policy, parse_segments(settings.segments), settings.item_template)


@contextlib.asynccontextmanager
async def keeping_roll_ups(
    settings: Settings, policy: ImportancePolicy, robot_policy: RobotPolicy, dao: MongoDao, *, serving: bool
) -> AsyncIterator[None]:
    """Keeps roll-ups and robot verdicts up to date, in a thread, until the block ends.

    Args:
        settings: Those of this process.
        policy: Names and grades the event types.
        robot_policy: Judges users.
        dao: The store.
        serving: Whether this process answers calls beside it.
    """
    stop = threading.Event()

    def keep() -> None:
        from clickstream.analytics.rollups import RollUps
        from clickstream.quality.robot_judging import RobotJudging
        from clickstream.workers.rollup_upkeep import RollUpUpkeep

        # What polars and its kin brought stays: unfrozen, every full garbage collection walks through it, which costs
        # a serving process 8 % of its CPU for a streamed event.
        gc.freeze()
        roll_ups = RollUps(dao, _rules(settings, policy))
        RollUpUpkeep(
            dao,
            roll_ups,
            RobotJudging(dao, roll_ups, robot_policy, now),
            f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
            now,
            stop,
            free_for=FREE_FOR if serving and not settings.run_training else timedelta(),
            share=SERVING_SHARE if serving else 1.0,
        ).run()

    thread = threading.Thread(target=keep, name="roll-ups", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        await asyncio.to_thread(thread.join, STOP_SECONDS)
