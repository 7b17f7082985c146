"""Robot verdicts as messages of the contract."""

from collections.abc import Iterable
from datetime import date, timedelta

from embedding_studio.clickstream.v1 import robot_verdict_pb2 as pb

from clickstream.contract.encoding import timestamp
from clickstream.domain.analytics import EPOCH_DAY
from clickstream.domain.robots import RobotFinding, RobotJudgement, RobotVerdict


def day_text(day: int) -> str:
    """A UTC day, counted from 1970-01-01, as YYYY-MM-DD."""
    return (EPOCH_DAY + timedelta(days=day)).isoformat()


def day_number(text: str) -> int:
    """The reverse of `day_text`. Raises ValueError if it is no such day."""
    day = date.fromisoformat(text)
    if day.isoformat() != text:  # it also reads other forms
        raise ValueError(f"{text!r} is not written YYYY-MM-DD")
    return (day - EPOCH_DAY).days


def verdict_message(verdict: RobotVerdict, *, in_force: bool) -> pb.RobotVerdict:
    """The message of an entry of the list."""
    return pb.RobotVerdict(
        number=verdict.number,
        user_id=verdict.user_id,
        day="" if verdict.undoes_all else day_text(verdict.day),
        robot=verdict.robot,
        undoes_all=verdict.undoes_all,
        policy_version=verdict.policy_version,
        by=verdict.by,
        reason=verdict.reason,
        judged_at=timestamp(verdict.judged_at),
        findings=_findings(verdict.findings),
        in_force=in_force,
    )


def judgement_message(judgement: RobotJudgement) -> pb.RobotJudgement:
    """The message of how a user and day are judged."""
    message = pb.RobotJudgement(
        user_id=judgement.user_id,
        day=day_text(judgement.day),
        search_count=judgement.searches,
        findings=_findings(judgement.findings),
        example_session_ids=judgement.example_session_ids,
    )
    # `class` is a keyword of Python.
    setattr(message, "class", pb.RobotClass.Value(f"ROBOT_CLASS_{judgement.robot_class.name}"))
    return message


def _findings(findings: Iterable[RobotFinding]) -> list[pb.RobotFinding]:
    return [
        pb.RobotFinding(
            rule=each.rule,
            value=each.value,
            human_below=each.human_below,
            robot_from=each.robot_from,
            strong=each.strong,
        )
        for each in findings
    ]
