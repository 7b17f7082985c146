"""The importance policy: the grade of each event type, and how the grades of several events combine (R12)."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clickstream.domain import limits

PACKAGED_POLICY = Path(__file__).parent / "importance.toml"
COMBINATIONS = ("max", "sum", "last")
# Low enough that the sum over all events of a session stays finite.
MAX_GRADE = 1e6


@dataclass(frozen=True, slots=True)
class ImportancePolicy:
    """Grades by event type, with a version that every training input carries.

    `combine` says how the grades of several events on one result become one: the highest
    (`max`), their sum (`sum`), or that of the latest event (`last`). `aliases` are other names of event types: name →
    type. They are applied on reading; a stored event keeps its name.
    """

    version: str
    grades: Mapping[str, float]
    default_grade: float
    combine: str = "max"
    aliases: Mapping[str, str] = field(default_factory=dict)

    def named(self, event_type: str) -> str:
        """The type that a stored event type stands for: itself, or the type that it is an alias of."""
        return self.aliases.get(event_type, event_type)

    def knows(self, event_type: str) -> bool:
        """Whether the policy names this type, itself or as an alias; otherwise the default grade counts."""
        return self.named(event_type) in self.grades

    def grade(self, event_types: Sequence[str]) -> float:
        """The grade of one result from the stored types of its events in time order; 0 without events."""
        grades = [self.grades.get(self.named(event_type), self.default_grade) for event_type in event_types]
        if not grades:
            return 0.0
        if self.combine == "sum":
            return math.fsum(grades)
        return grades[-1] if self.combine == "last" else max(grades)


def load_policy(path: Path) -> ImportancePolicy:
    """Reads a policy from a TOML file. Raises ValueError naming the file and the bad key."""
    try:
        return _parse(tomllib.loads(path.read_text("utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValueError) as error:
        raise ValueError(f"importance policy {path}: {error}") from error


def _parse(data: Mapping[str, Any]) -> ImportancePolicy:
    unknown = set(data) - {"version", "combine", "default_grade", "grades", "aliases"}
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r}")
    version = data.get("version")
    if not isinstance(version, str) or not version:
        raise ValueError("`version` must be a non-empty string")
    combine = data.get("combine", "max")
    if combine not in COMBINATIONS:
        raise ValueError(f"`combine` must be one of {', '.join(COMBINATIONS)}")
    grades = data.get("grades")
    if not isinstance(grades, dict) or not grades:
        raise ValueError("`grades` must be a table of event type = grade")
    return ImportancePolicy(
        version=version,
        grades={event_type: _grade(f"grades.{event_type}", grade) for event_type, grade in grades.items()},
        default_grade=_grade("default_grade", data.get("default_grade", 0)),
        combine=combine,
        aliases=_aliases(data.get("aliases", {}), grades),
    )


def _aliases(aliases: object, grades: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(aliases, dict):
        raise ValueError("`aliases` must be a table of alias = event type")
    for alias, event_type in aliases.items():
        key = f"`aliases.{alias}`"
        if not 0 < len(alias) <= limits.TYPE_CHARACTERS or not limits.NAME_ALPHABET.issuperset(alias):
            allowed = f"1 to {limits.TYPE_CHARACTERS} letters, digits, `_`, `-` and `.`"
            raise ValueError(f"{key}: an event type has {allowed}")
        if alias in grades:
            raise ValueError(f"{key} has a grade of its own, so it cannot be an alias")
        if not isinstance(event_type, str) or event_type not in grades:
            raise ValueError(f"{key} must be an event type that `grades` names")
    return dict(aliases)


def _grade(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_GRADE:
        raise ValueError(f"`{key}` must be a number from 0 to {MAX_GRADE:.0f}")
    return float(value)
