"""The robot policy: the marks of each rule, and what they say about a user and UTC day."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickstream.domain import limits
from clickstream.domain.robots import RobotClass, RobotFinding

PACKAGED_ROBOT_POLICY = Path(__file__).parent / "robots.toml"
RULES = (
    "searches",
    "burst",
    "fast_changes",
    "continuous_hours",
    "same_query",
    "clicked_all",
    "equal_intervals",
    "declared_agent",
)
# Rules that are not strong are no proof alone: this many of them are.
WEAK_RULES = 2
GREATEST_MARK = 1e9


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule's marks; None: it has no such mark. A `strong` rule is enough alone."""

    human_below: float | None
    robot_from: float | None
    strong: bool


@dataclass(frozen=True, slots=True)
class RobotPolicy:
    """Marks by rule, with a version that every verdict carries. A rule that is absent judges nobody."""

    version: str
    rules: Mapping[str, Rule]

    def judge(self, values: Mapping[str, float]) -> tuple[RobotClass, Sequence[RobotFinding]]:
        """Judges a user and day.

        Args:
            values: The value that each rule measured.

        Returns:
            The class, and the rules beyond a mark, those that make a robot first.
        """
        beyond, doubtful = [], []
        for name, rule in self.rules.items():
            value = values[name]
            finding = RobotFinding(name, value, rule.human_below, rule.robot_from, rule.strong)
            if rule.robot_from is not None and value >= rule.robot_from:
                beyond.append(finding)
            elif rule.human_below is not None and value >= rule.human_below:
                doubtful.append(finding)
        is_robot = any(each.strong for each in beyond) or len(beyond) >= WEAK_RULES
        unsure = RobotClass.UNSURE if beyond or doubtful else RobotClass.HUMAN
        return RobotClass.ROBOT if is_robot else unsure, (*beyond, *doubtful)


def load_robot_policy(path: Path) -> RobotPolicy:
    """Reads a policy from a TOML file. Raises ValueError naming the file and the bad key."""
    try:
        return parse_robot_policy(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"robot policy {path}: {error}") from error


def parse_robot_policy(text: str) -> RobotPolicy:
    """Reads a policy from TOML. Raises ValueError naming the bad key."""
    data = tomllib.loads(text)
    if unknown := set(data) - {"version", "rules"}:
        raise ValueError(f"unknown key {min(unknown)!r}")
    version, rules = data.get("version"), data.get("rules")
    if not isinstance(version, str) or not 0 < len(version) <= limits.ID_CHARACTERS:
        raise ValueError(f"`version` must be a text of 1 to {limits.ID_CHARACTERS} characters")
    if not isinstance(rules, dict) or not rules:
        raise ValueError("`rules` must be a table of rules")
    if unknown := set(rules) - set(RULES):
        raise ValueError(f"`rules.{min(unknown)}` is unknown; there are {', '.join(RULES)}")
    return RobotPolicy(version, {name: _rule(f"rules.{name}", rules[name]) for name in RULES if name in rules})


def _rule(key: str, value: Any) -> Rule:
    if not isinstance(value, dict) or set(value) - {"human_below", "robot_from", "strong"}:
        raise ValueError(f"`{key}` must have the keys `human_below`, `robot_from` and `strong` at most")
    strong = value.get("strong", False)
    if not isinstance(strong, bool):
        raise ValueError(f"`{key}.strong` must be true or false")
    human_below, robot_from = (_mark(f"{key}.{name}", value.get(name)) for name in ("human_below", "robot_from"))
    if human_below is None and robot_from is None:
        raise ValueError(f"`{key}` must have `human_below` or `robot_from`")
    if human_below is not None and robot_from is not None and human_below > robot_from:
        raise ValueError(f"`{key}.human_below` must not be above `robot_from`")
    return Rule(human_below, robot_from, strong)


def _mark(key: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= GREATEST_MARK:
        raise ValueError(f"`{key}` must be a number above 0, at most {GREATEST_MARK:.0f}")
    return float(value)
