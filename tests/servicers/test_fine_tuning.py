"""The place for training: who waits for it says so, who is silent loses it, and a failure keeps its reason."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from support.builders import training_run
from support.servers import DEFAULTS, listed

from clickstream.domain.errors import FailedPrecondition, Reason, Unavailable
from clickstream.domain.runs import Phase
from clickstream.domain.training_inputs import GradedResult, TrainingInput
from clickstream.servicers import fine_tuning
from clickstream.servicers.fine_tuning import FineTuningServicer
from clickstream.servicers.server import Listening, Server
from clickstream.trainer_client.channel import TrainerAddress
from clickstream.trainer_client.fine_tuning import FineTuningClient

SETTINGS = training_run().settings
INPUT = TrainingInput("s-1", "batch-1", 1, "red shoe", (GradedResult("a", 0, 1.0, ("e-1",), {"title": "a"}),), "test-1")


def reading(run_id: str, settings: object, inputs: Iterator[TrainingInput], *_: object, **__: object) -> Any:
    """A training that reads all inputs, and finds that they cannot train."""
    count = len(list(inputs))
    raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, f"{count} inputs")


def refusing(*_: object, **__: object) -> Any:
    """A training that fails before it has read an input."""
    raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, "the true reason")


async def endless() -> AsyncIterator[TrainingInput]:
    """Inputs without an end."""
    while True:
        yield INPUT


async def silent() -> AsyncIterator[TrainingInput]:
    """One input, and then nothing for a minute."""
    yield INPUT
    await asyncio.sleep(60)


def with_trainer(train: Callable[..., Any], use: Callable[[FineTuningClient], Any]) -> None:
    """Runs `use` with a client of a trainer that trains so."""

    async def run() -> None:
        server = Server([FineTuningServicer(train, DEFAULTS)])
        address = server.listen(Listening("127.0.0.1:0"))
        await server.start()
        client = FineTuningClient(TrainerAddress(address))
        try:
            async with asyncio.timeout(30):
                await use(client)
        finally:
            await client.close()
            await server.drain(0)

    asyncio.run(run())


async def failure_of(client: FineTuningClient, run_id: str, inputs: AsyncIterator[TrainingInput]) -> Exception:
    """What ends a training."""
    with pytest.raises((FailedPrecondition, Unavailable)) as caught:
        async for _ in client.fine_tune(run_id, SETTINGS, inputs, [], 0):
            pass
    error: Exception = caught.value
    return error


def test_a_silent_caller_loses_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that stops sending before all inputs are sent ends after a bound, and the next run trains."""
    monkeypatch.setattr(fine_tuning, "TRAINER_SILENCE_SECONDS", 0.3)

    async def use(client: FineTuningClient) -> None:
        first = asyncio.create_task(failure_of(client, "run-1", silent()))
        await asyncio.sleep(0.05)
        last = await failure_of(client, "run-2", listed([INPUT]))
        assert str(last) == "1 inputs"
        error = await first
        assert isinstance(error, Unavailable)
        assert "sent nothing" in str(error)

    with_trainer(reading, use)


def test_a_waiting_run_says_what_it_waits_for() -> None:
    """While another run has the place, the waiting one reports which; it trains once the place is free."""
    go_on = threading.Event()

    def train(run_id: str, *_: object, **__: object) -> Any:
        go_on.wait(20)
        raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, run_id)

    async def use(client: FineTuningClient) -> None:
        first = asyncio.create_task(failure_of(client, "run-1", listed([])))
        await asyncio.sleep(0.1)
        second = client.fine_tune("run-2", SETTINGS, listed([]), [], 0)
        report: Any = await anext(second)
        assert report.phase is Phase.WAITING
        assert report.waits_for == "the trainer, which is at run run-1"
        go_on.set()
        assert str(await first) == "run-1"
        with pytest.raises(FailedPrecondition, match="run-2"):
            await anext(second)

    with_trainer(train, use)


def test_a_run_that_stops_waiting_leaves_the_place_free() -> None:
    """A canceled call that waits for the place never takes it."""
    go_on = threading.Event()

    def train(run_id: str, *_: object, **__: object) -> Any:
        go_on.wait(20)
        raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, run_id)

    async def use(client: FineTuningClient) -> None:
        first = asyncio.create_task(failure_of(client, "run-1", listed([])))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(failure_of(client, "run-2", listed([])))
        await asyncio.sleep(0.1)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        go_on.set()
        await first
        assert str(await failure_of(client, "run-3", listed([]))) == "run-3"

    with_trainer(train, use)


def test_the_reason_of_a_run_reaches_a_caller_that_still_sends() -> None:
    """A training that fails while inputs come says why; gRPC alone hides that reason now and then."""

    async def use(client: FineTuningClient) -> None:
        for number in range(40):
            error = await failure_of(client, f"run-{number}", endless())
            assert isinstance(error, FailedPrecondition), error
            assert str(error) == "the true reason"

    with_trainer(refusing, use)
