"""The rule of promotion (R1, R17): what serves has embedded a text."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.builders import model_version
from support.memory_store import MemoryDao
from support.serving import Clock

from clickstream.domain.errors import FailedPrecondition, NotFound, Reason, Unavailable
from clickstream.domain.promotions import PromotionOrder
from clickstream.models.promoting import Promoting


class Machine:
    """A machine of the models that can load what it has."""

    def __init__(self, *has: str) -> None:
        self.has = set(has)
        self.loaded: list[str] = []
        self.then: Callable[[], Any] = lambda: None

    async def load(self, model_version_id: str, timeout: float | None) -> None:
        """Loads a version, and lets something else happen."""
        self.loaded.append(model_version_id)
        self.then()
        if model_version_id not in self.has:
            raise NotFound(Reason.MODEL_VERSION_NOT_FOUND, "no files")


@pytest.fixture
def machine() -> Machine:
    """One that has three versions."""
    return Machine("model-1", "model-2", "model-3")


@pytest.fixture
def promoting(memory_dao: MemoryDao, clock: Clock, machine: Machine) -> Promoting:
    """Promotes in the store in memory."""
    return Promoting(memory_dao.promotions, machine.load, clock)


def promote(promoting: Promoting, number: int, request_id: str = "", **values: Any) -> bool:
    """Promotes a version by its number; says whether it was now."""
    version = replace(model_version(), model_version_id=f"model-{number}", gate_passed=values.pop("passed", True))
    order = PromotionOrder(request_id or f"p-{number}", version.model_version_id, **values)
    return asyncio.run(promoting.promote(version, order, 1.0))[1]


def roll_back(promoting: Promoting, request_id: str, **values: Any) -> str:
    """Rolls back; the version that serves then."""
    return asyncio.run(promoting.roll_back(PromotionOrder(request_id, **values), 1.0))[0].model_version_id


def serving(dao: MemoryDao) -> str:
    """The version that serves."""
    current = dao.promotions.current()
    return current.model_version_id if current else ""


def test_r17_what_cannot_be_loaded_is_not_promoted(
    memory_dao: MemoryDao, promoting: Promoting, machine: Machine
) -> None:
    """R17: neither with nor without force; the error names the version."""
    promote(promoting, 1)
    for values in ({}, {"forced": True, "reason": "never mind"}):
        with pytest.raises(FailedPrecondition, match="model-9 cannot be loaded: no files") as caught:
            promote(promoting, 9, **values)
        assert (caught.value.reason, caught.value.metadata) == (Reason.STATE_CONFLICT, {"model_version_id": "model-9"})
    assert serving(memory_dao) == "model-1"


def test_r17_what_cannot_be_loaded_any_more_is_not_rolled_back_to(
    memory_dao: MemoryDao, promoting: Promoting, machine: Machine
) -> None:
    """R17: a version that served before is loaded before it serves again."""
    promote(promoting, 1)
    promote(promoting, 2)
    machine.has.remove("model-1")
    with pytest.raises(FailedPrecondition) as caught:
        roll_back(promoting, "r-1")
    assert caught.value.metadata == {"model_version_id": "model-1"}
    assert serving(memory_dao) == "model-2"
    machine.has.add("model-1")
    assert roll_back(promoting, "r-1") == "model-1"


def test_r17_a_rollback_serves_only_the_version_that_it_loaded(
    memory_dao: MemoryDao, promoting: Promoting, machine: Machine
) -> None:
    """R17: where a promotion comes in between, the rollback leads to another version, and that one is loaded first."""
    promote(promoting, 1)
    promote(promoting, 2)
    machine.loaded.clear()

    def meanwhile() -> None:
        machine.then = lambda: None
        memory_dao.promotions.append(PromotionOrder("p-3", "model-3"), promoting._clock())

    machine.then = meanwhile
    assert roll_back(promoting, "r-1") == "model-2"
    assert machine.loaded == ["model-1", "model-2"]


def test_r1_a_retry_loads_nothing(memory_dao: MemoryDao, promoting: Promoting, machine: Machine) -> None:
    """R1: what was carried out is answered again, also when the files are gone by now."""
    assert promote(promoting, 1)
    promote(promoting, 2)
    assert roll_back(promoting, "r-1") == "model-1"
    machine.has.clear()
    assert not promote(promoting, 1)
    assert roll_back(promoting, "r-1") == "model-1"
    assert len(memory_dao.promotions.list(None, 9)) == 3


def test_nothing_is_loaded_that_may_not_be_promoted(promoting: Promoting, machine: Machine) -> None:
    """What the gate, or what serves, forbids is refused before the trainer is asked for anything."""
    with pytest.raises(FailedPrecondition) as caught:
        promote(promoting, 1, passed=False)
    assert caught.value.reason is Reason.GATE_NOT_PASSED
    with pytest.raises(FailedPrecondition):
        promote(promoting, 1, expected=frozenset({"model-2"}))
    with pytest.raises(FailedPrecondition):
        roll_back(promoting, "r-1")
    assert machine.loaded == []
    assert promote(promoting, 1, passed=False, forced=True, reason="a person looked")


def test_while_the_trainer_is_away_nothing_is_promoted(
    memory_dao: MemoryDao, promoting: Promoting, machine: Machine
) -> None:
    """The caller can try again: nothing was changed."""

    def away() -> None:
        raise Unavailable(Reason.TRAINER_UNAVAILABLE, "connection refused")

    machine.then = away
    with pytest.raises(Unavailable) as caught:
        promote(promoting, 1)
    assert caught.value.reason is Reason.TRAINER_UNAVAILABLE
    assert serving(memory_dao) == ""
