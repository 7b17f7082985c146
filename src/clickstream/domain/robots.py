"""Robot verdicts: who counts as a robot on which UTC day. The list of verdicts only grows (R27).

A verdict is about one user and one UTC day. Of several verdicts about the same, the one with the highest number is in
force. An entry that undoes all makes every entry before it void.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from clickstream.domain.errors import AlreadyExists, Reason

POLICY = "policy"
"""The judge of verdicts that the robot policy gave."""


@dataclass(frozen=True, slots=True)
class RobotFinding:
    """The value that one rule measured, and the rule's marks; None: it has no such mark."""

    rule: str
    value: float
    human_below: float | None
    robot_from: float | None
    strong: bool


@dataclass(frozen=True, slots=True)
class RobotVerdict:
    """An entry of the list.

    `day` counts from 1970-01-01; it and `user_id` are absent if the entry `undoes_all`. `number` is 0 before the entry
    is in the list. `request_id` is "" for the policy's entries, and names a person's order.
    """

    user_id: str
    day: int
    robot: bool
    by: str
    judged_at: datetime
    policy_version: str = ""
    reason: str = ""
    findings: Sequence[RobotFinding] = ()
    undoes_all: bool = False
    request_id: str = ""
    number: int = 0

    def check_same(self, order: "RobotVerdict") -> None:
        """Raises AlreadyExists unless an equal order made this entry."""
        if _content(self) != _content(order):
            raise AlreadyExists(Reason.CONTENT_CONFLICT, "request_id: taken by another verdict")


def _content(verdict: RobotVerdict) -> tuple[object, ...]:
    kind = verdict.undoes_all or (verdict.user_id, verdict.day, verdict.robot)
    return kind, verdict.by, verdict.reason


class RobotClass(StrEnum):
    """How a robot policy judges a user and day."""

    HUMAN = "human"
    UNSURE = "unsure"
    ROBOT = "robot"


@dataclass(frozen=True, slots=True)
class RobotJudgement:
    """How a robot policy judges a user and UTC day; `findings` are the rules beyond a mark."""

    user_id: str
    day: int
    robot_class: RobotClass
    searches: int
    findings: Sequence[RobotFinding]
    example_session_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """How a policy judges users, and the numbers of pairs of user and day: all, robots, and those it is unsure of."""

    judgements: Sequence[RobotJudgement]
    policy_version: str
    user_days: int
    robot_user_days: int
    unsure_user_days: int


def in_force(verdicts: Iterable[RobotVerdict]) -> dict[tuple[str, int], RobotVerdict]:
    """The verdicts in force, by user and day, of verdicts in order of their numbers."""
    found: dict[tuple[str, int], RobotVerdict] = {}
    for each in verdicts:
        if each.undoes_all:
            found.clear()
        else:
            found[each.user_id, each.day] = each
    return found
