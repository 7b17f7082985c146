"""Judges the users of UTC days by the robot policy, and adds the verdicts to their list (R27)."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from clickstream.analytics.day_frames import joined, of_day
from clickstream.analytics.rollups import RollUps
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.analytics import day_of, user_key
from clickstream.domain.robots import POLICY, Preview, RobotClass, RobotFinding, RobotJudgement, RobotVerdict
from clickstream.domain.sessions import StoredSession
from clickstream.quality.robot_measures import NEEDED, user_measures
from clickstream.quality.robot_policy import RULES, RobotPolicy

# Others rarely add verdicts. A day that they disturb this often is judged at the next look.
ATTEMPTS = 5
PREVIEWED = 1_000

logger = logging.getLogger(__name__)


class _Judged(NamedTuple):
    """How a user is judged; `places` are (batch, number) of some of the user's searches."""

    user: int
    robot_class: RobotClass
    findings: Sequence[RobotFinding]
    searches: int
    places: Sequence[tuple[int, int]]


class RobotJudging:
    """Judges by one policy. Blocks.

    Args:
        dao: The store.
        roll_ups: Reads the searches of days.
        policy: The policy.
        clock: The current time, in UTC.
    """

    def __init__(
        self, dao: ClickstreamDao, roll_ups: RollUps, policy: RobotPolicy, clock: Callable[[], datetime]
    ) -> None:
        self._dao = dao
        self._roll_ups = roll_ups
        self._policy = policy
        self._clock = clock

    def judge_day(self, day: int) -> int:
        """Adds the policy's verdicts about a UTC day where they differ from those in force.

        Verdicts of people stay. A day that was judged by the same policy and did not change since is left alone, and so
        is one that a person has undone.

        Returns:
            The number of new verdicts.
        """
        stamp = f"{self._policy.version}/{self._roll_ups.day_digest(self._roll_ups.range_heads((day, day)), set())}"
        if self._dao.robots.judged(day) == stamp:
            return 0
        for _ in range(ATTEMPTS):
            # Read first: where another entry is added meanwhile, these verdicts find its number taken.
            newest = self._dao.robots.newest()
            verdicts = [] if self._is_undone(day, newest) else self._new_verdicts(day, newest)
            if self._dao.robots.append(verdicts, newest):
                self._dao.robots.set_judged(day, stamp)
                return len(verdicts)
        logger.info("the robots of a day are judged later: other verdicts kept coming first")
        return 0

    def _is_undone(self, day: int, newest: int) -> bool:
        undo = self._dao.robots.last_undo(newest)
        return undo is not None and undo.policy_version == self._policy.version and day < day_of(undo.judged_at)

    def _new_verdicts(self, day: int, newest: int) -> list[RobotVerdict]:
        before = {user_key(each.user_id): each for each in self._dao.robots.of_days((day, day), newest)}
        verdicts = []
        for each in self._judged(day, self._policy):
            known = before.get(each.user)
            robot = each.robot_class is RobotClass.ROBOT
            if (known and known.by != POLICY) or robot == (known is not None and known.robot):
                continue
            user_id = known.user_id if known else self._user_id(each.places)
            if user_id:
                verdicts.append(self._verdict(user_id, day, robot, each.findings))
        return verdicts

    def _verdict(self, user_id: str, day: int, robot: bool, findings: Sequence[RobotFinding]) -> RobotVerdict:
        return RobotVerdict(
            user_id=user_id,
            day=day,
            robot=robot,
            by=POLICY,
            judged_at=self._clock(),
            policy_version=self._policy.version,
            findings=tuple(findings),
        )

    def preview(self, days: Sequence[int], policy: RobotPolicy, *, include_unsure: bool) -> Preview:
        """How a policy judges the users of UTC days, without storing anything.

        The first `PREVIEWED` judgements are answered, by day and by searches, the most first; all are counted.
        """
        wanted = {RobotClass.ROBOT} | ({RobotClass.UNSURE} if include_unsure else set())
        judgements: list[RobotJudgement] = []
        counts = dict.fromkeys(RobotClass, 0)
        for day in days:
            judged = sorted(self._judged(day, policy), key=lambda each: (-each.searches, each.user))
            for each in judged:
                counts[each.robot_class] += 1
            shown = [each for each in judged if each.robot_class in wanted]
            judgements += (self._judgement(day, each) for each in shown[: PREVIEWED - len(judgements)])
        robots, unsure = counts[RobotClass.ROBOT], counts[RobotClass.UNSURE]
        return Preview(judgements, policy.version, sum(counts.values()), robots, unsure)

    def _judgement(self, day: int, judged: _Judged) -> RobotJudgement:
        sessions = [session for place in judged.places if (session := self._session(place)) is not None]
        user_id = next((each.user_id for each in sessions if each.user_id), "")
        ids = [each.session_id for each in sessions]
        return RobotJudgement(user_id, day, judged.robot_class, judged.searches, judged.findings, ids)

    def _judged(self, day: int, policy: RobotPolicy) -> Iterator[_Judged]:
        heads = self._roll_ups.range_heads((day, day))
        frames = [frame.filter(of_day(day)) for frame in self._roll_ups.range_searches(heads, NEEDED)]
        if not frames:
            return
        for row in user_measures(joined(frames)).iter_rows(named=True):
            yield _judged_row(row, policy)

    def _user_id(self, places: Sequence[tuple[int, int]]) -> str:
        """The user of these searches. Roll-ups hold a hash alone, so that nobody is named in them."""
        found = (self._session(place) for place in places)
        return next((session.user_id for session in found if session and session.user_id), "")

    def _session(self, place: tuple[int, int]) -> StoredSession | None:
        batch, number = place
        return next(iter(self._dao.sessions.page(batch, number - 1, 1, include_irrelevant=True).sessions), None)


def _judged_row(row: Mapping[str, Any], policy: RobotPolicy) -> _Judged:
    robot_class, findings = policy.judge({name: row[name] for name in RULES})
    places = [(each["batch"], each["number"]) for each in row["examples"]]
    return _Judged(row["user"], robot_class, findings, int(row["searches"]), places)
