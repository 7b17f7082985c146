"""The robot verdicts of AnalyticsService: the list, people's orders, and the dry run of a policy."""

from collections.abc import Sequence
from datetime import datetime

from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import robot_verdict_pb2

from clickstream.contract.robots import day_number, verdict_message
from clickstream.dao.interface.robots import RobotDao, VerdictFilter
from clickstream.domain import limits
from clickstream.domain.analytics import day_of
from clickstream.domain.errors import FieldViolation, Reason
from clickstream.domain.robots import POLICY, RobotVerdict
from clickstream.servicers.checks import fields, page_tokens


def listed(robots: RobotDao, request: pb.ListRobotVerdictsRequest) -> pb.ListRobotVerdictsResponse:
    """A page of the list. Blocks."""
    violations = fields.Violations()
    page_size = fields.check_page_size(request.page_size, violations)
    fields.check_id(request.user_id, "user_id", violations, required=False)
    day = _checked_day(request.day, "day", violations)
    fields.require(violations)
    asked = f"{request.user_id}/{day}"
    before: int | None = None
    if request.page_token:
        before, of = page_tokens.decode_token(request.page_token, "ListRobotVerdicts", (int, str))
        if of != asked or before < 1:
            raise page_tokens.foreign_token()
    newest = robots.newest()
    found = robots.list(VerdictFilter(request.user_id, day), before, page_size)
    force = _in_force(robots, found, newest)
    page, final = page_tokens.cut_page(
        found, lambda each: verdict_message(each, in_force=each.number in force), page_size
    )
    token = page_tokens.encode_token("ListRobotVerdicts", final.number, asked) if final else ""
    return pb.ListRobotVerdictsResponse(verdicts=page, next_page_token=token, newest_number=newest)


def _in_force(robots: RobotDao, verdicts: Sequence[RobotVerdict], newest: int) -> set[int]:
    users = {each.user_id for each in verdicts if not each.undoes_all}
    return {each.number for each in robots.of_users(users, newest)} if users else set()


def overruled(
    robots: RobotDao, request: pb.OverruleRobotVerdictRequest, now: datetime
) -> pb.OverruleRobotVerdictResponse:
    """Adds a person's verdict. Blocks."""
    violations = fields.Violations()
    _check_order(request, violations)
    fields.check_id(request.user_id, "user_id", violations)
    day = _checked_day(request.day, "day", violations)
    if not request.day:
        violations.append(FieldViolation("day", "is required"))
    fields.require(violations)
    order = RobotVerdict(
        user_id=request.user_id,
        day=day or 0,
        robot=request.robot,
        by=request.by,
        judged_at=now,
        reason=request.reason,
        request_id=request.request_id,
    )
    message, created = _ordered(robots, order)
    return pb.OverruleRobotVerdictResponse(verdict=message, created=created)


def undone(
    robots: RobotDao, request: pb.UndoRobotVerdictsRequest, policy_version: str, now: datetime
) -> pb.UndoRobotVerdictsResponse:
    """Adds the entry that makes every entry before it void. Blocks."""
    violations = fields.Violations()
    _check_order(request, violations)
    fields.require(violations)
    order = RobotVerdict(
        user_id="",
        day=0,
        robot=False,
        by=request.by,
        judged_at=now,
        policy_version=policy_version,
        reason=request.reason,
        undoes_all=True,
        request_id=request.request_id,
    )
    message, created = _ordered(robots, order)
    return pb.UndoRobotVerdictsResponse(verdict=message, created=created)


def _ordered(robots: RobotDao, order: RobotVerdict) -> tuple[robot_verdict_pb2.RobotVerdict, bool]:
    entry, created = robots.order(order)
    force = entry.number in _in_force(robots, [entry], robots.newest())
    return verdict_message(entry, in_force=force), created


def checked_days(request: pb.PreviewRobotVerdictsRequest, now: datetime, violations: fields.Violations) -> range:
    """The UTC days that a dry run judges. Adds what is wrong with them."""
    first, last = (_checked_day(getattr(request, name), name, violations) for name in ("first_day", "last_day"))
    if first is None:
        first = last if last is not None else day_of(now) - 1
    if last is None:
        last = first
    if last < first:
        violations.append(FieldViolation("last_day", "must not lie before `first_day`"))
    elif last - first >= limits.PREVIEW_DAYS:
        description = f"makes {last - first + 1} days; {limits.PREVIEW_DAYS} are allowed"
        violations.append(FieldViolation("last_day", description, Reason.LIMIT_EXCEEDED))
    return range(first, last + 1)


def _check_order(
    request: pb.OverruleRobotVerdictRequest | pb.UndoRobotVerdictsRequest, violations: fields.Violations
) -> None:
    fields.check_id(request.request_id, "request_id", violations)
    fields.check_id(request.by, "by", violations)
    if request.by == POLICY:
        violations.append(FieldViolation("by", f"must not be `{POLICY}`, which the robot policy's verdicts carry"))
    if len(request.reason) > limits.TEXT_CHARACTERS:
        description = f"has {len(request.reason)} characters; {limits.TEXT_CHARACTERS} are allowed"
        violations.append(FieldViolation("reason", description, Reason.LIMIT_EXCEEDED))


def _checked_day(text: str, field: str, violations: fields.Violations) -> int | None:
    if not text:
        return None
    try:
        return day_number(text)
    except ValueError:
        violations.append(FieldViolation(field, "must be a day, written YYYY-MM-DD"))
        return None
