"""Robot verdicts in the terminal."""

from collections.abc import Iterable, Sequence

from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import robot_verdict_pb2
from rich.table import Table

from clickstream.views.tables import console_of, plain


def show_verdicts(verdicts: Sequence[robot_verdict_pb2.RobotVerdict]) -> None:
    """Prints a row for each verdict."""
    console = console_of()
    if not verdicts:
        console.print("nothing to show")
        return
    table = _table("number", "user", "day", "verdict", "in force", "by", "why")
    for each in verdicts:
        kind = "all before it void" if each.undoes_all else "robot" if each.robot else "no robot"
        why = each.reason or findings_text(each.findings)
        by = f"{each.by} {each.policy_version}" if each.by == "policy" else each.by
        in_force = "" if each.undoes_all else "yes" if each.in_force else "no"
        table.add_row(*map(plain, (str(each.number), each.user_id, each.day, kind, in_force, by, why)))
    console.print(table, highlight=False)


def show_preview(answer: pb.PreviewRobotVerdictsResponse) -> None:
    """Prints a row for each user and day, and how many were judged."""
    console = console_of()
    if answer.judgements:
        table = _table("user", "day", "class", "searches", "why", "examples")
        for each in answer.judgements:
            name = robot_verdict_pb2.RobotClass.Name(getattr(each, "class")).removeprefix("ROBOT_CLASS_").lower()
            examples = ", ".join(each.example_session_ids)
            cells = (each.user_id, each.day, name, f"{each.search_count:,}", findings_text(each.findings), examples)
            table.add_row(*map(plain, cells))
        console.print(table, highlight=False)
    robots = f"{answer.robot_user_days:,} are robots, and of {answer.unsure_user_days:,} it is unsure"
    users = f"{answer.user_days:,} pairs of user and day"
    console.print(plain(f"By policy {answer.policy_version}, of {users} {robots}."))


def findings_text(findings: Iterable[robot_verdict_pb2.RobotFinding]) -> str:
    """What the rules found: `burst 31 (from 20)`."""
    return ", ".join(
        f"{each.rule} {each.value:g} (from {each.robot_from if each.HasField('robot_from') else each.human_below:g})"
        for each in findings
    )


def _table(*titles: str) -> Table:
    table = Table()
    for title in titles:
        table.add_column(title, overflow="fold", justify="right" if title in ("number", "searches") else "left")
    return table
