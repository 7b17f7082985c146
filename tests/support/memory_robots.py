"""Robot verdicts in the store in memory."""

import builtins
from collections.abc import Sequence, Set
from dataclasses import replace

from clickstream.dao.interface.robots import VerdictFilter
from clickstream.domain.robots import RobotVerdict, in_force
from support.memory_state import Part, State, locked


class MemoryRobots(Part):
    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._verdicts: list[RobotVerdict] = []
        self._judged: dict[int, str] = {}

    @locked
    def newest(self) -> int:
        return len(self._verdicts)

    @locked
    def append(self, verdicts: Sequence[RobotVerdict], newest: int) -> bool:
        if verdicts and newest != len(self._verdicts):
            return False
        self._verdicts += [replace(each, number=newest + index) for index, each in enumerate(verdicts, 1)]
        return True

    @locked
    def order(self, verdict: RobotVerdict) -> tuple[RobotVerdict, bool]:
        for each in self._verdicts:
            if each.request_id == verdict.request_id:
                each.check_same(verdict)
                return each, False
        self._verdicts.append(replace(verdict, number=len(self._verdicts) + 1))
        return self._verdicts[-1], True

    @locked
    def list(self, wanted: VerdictFilter, before: int | None, limit: int) -> builtins.list[RobotVerdict]:
        found = [
            each
            for each in reversed(self._verdicts)
            if (before is None or each.number < before)
            and (not wanted.user_id or each.user_id == wanted.user_id)
            and (wanted.day is None or (not each.undoes_all and each.day == wanted.day))
        ]
        return found[:limit]

    @locked
    def last_undo(self, number: int) -> RobotVerdict | None:
        return next((each for each in reversed(self._verdicts[:number]) if each.undoes_all), None)

    @locked
    def of_days(self, days: tuple[int, int], number: int) -> builtins.list[RobotVerdict]:
        found = in_force(self._verdicts[:number]).values()
        return [each for each in found if days[0] <= each.day <= days[1]]

    @locked
    def of_users(self, user_ids: Set[str], number: int) -> builtins.list[RobotVerdict]:
        return [each for each in in_force(self._verdicts[:number]).values() if each.user_id in user_ids]

    @locked
    def judged(self, day: int) -> str:
        return self._judged.get(day, "")

    @locked
    def set_judged(self, day: int, stamp: str) -> None:
        self._judged[day] = stamp
