"""The trainer under torchrun, with two processes on the CPU."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from support.fine_tuning_runs import weights
from support.processes import children, is_alive
from support.servers import wait_for
from support.shop_log import shop_log, tiny_settings

from clickstream.app.trainer import leading
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings, Phase
from clickstream.domain.training_inputs import TrainingInput
from clickstream.trainer_client.channel import TrainerAddress
from clickstream.trainer_client.fine_tuning import FineTuningClient
from clickstream.training import fine_tune
from clickstream.training.learning import distributed, follower
from clickstream.training.learning.distributed import Group

SOURCES = [str(Path(__file__).parents[3] / folder) for folder in ("src", "generated")]


ONE_GPU = torch.cuda.device_count() == 1


class Trainers:
    """`torchrun … clickstream trainer`, started by the test and stopped with it."""

    def __init__(self, data_dir: Path) -> None:
        self.log = data_dir / "trainers.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        trainer = ["-m", "clickstream", "trainer", "--listen", "127.0.0.1:0", "--data-dir", str(data_dir)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*torchrun, *trainer],
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(SOURCES), "OMP_NUM_THREADS": "1"},
            )
        wait_for(lambda: "listening on" in self.log.read_text(), patience=120)
        self.address = self.log.read_text().partition("listening on ")[2].split()[0]

    def stop(self) -> None:
        """Stops torchrun and both trainers, and waits until torchrun has ended."""
        pids = [self.process.pid, *children(self.process.pid)]
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            running = [pid for pid in pids if is_alive(pid)]
            pytest.fail(f"of torchrun and its trainers, {pids}, {running} still run:\n{self.log.read_text()}")


@pytest.fixture(scope="module")
def trainers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainers]:
    """Two training processes."""
    if ONE_GPU:
        pytest.skip("each training process needs a GPU of its own, and there is one")
    started = Trainers(tmp_path_factory.mktemp("trainers"))
    yield started
    if started.process.poll() is None:
        for pid in [*children(started.process.pid), started.process.pid]:
            os.kill(pid, signal.SIGKILL)
        started.process.wait(10)


async def call(
    trainers: Trainers, run_id: str, settings: FineTuningSettings, stop_at: int | None = None
) -> ModelVersion | int:
    """Fine-tunes on the shop log; ends the call early at a step, and returns that."""

    async def inputs() -> AsyncIterator[TrainingInput]:
        for one in shop_log(1):
            yield one

    client = FineTuningClient(TrainerAddress(trainers.address))
    try:
        async for answer in client.fine_tune(run_id, settings, inputs(), [], 0):
            if isinstance(answer, ModelVersion):
                return answer
            if stop_at is not None and answer.phase == Phase.TRAINING and answer.step >= stop_at:
                return answer.step
    finally:
        await client.close()
    raise AssertionError("the call ended without a model version")


@pytest.mark.parametrize("changes", [{}, {"lora_rank": 4, "loss": "contrastive"}, {"frozen_layers": 1}], ids=str)
def test_r17_two_processes_give_what_one_gives(
    trainers: Trainers, tiny_encoder: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    """R17: two processes that share the texts end with the weights of one, up to the order of sums."""
    settings = tiny_settings(str(tiny_encoder), **{"learning_rate": 1e-3, **changes})
    together = asyncio.run(call(trainers, f"run-{len(changes)}-{settings.frozen_layers}", settings))
    assert isinstance(together, ModelVersion)
    alone = fine_tune(
        "alone", settings, shop_log(1), data_dir=tmp_path, report=lambda progress: None, is_canceled=lambda: False
    )
    base = load_file(tiny_encoder / "model.safetensors")
    ours, theirs = weights(alone), weights(together)
    assert ours.keys() == theirs.keys()
    assert any((ours[name] - base[name]).abs().max() > 1e-3 for name in ours)
    for name, tensor in ours.items():
        assert torch.allclose(theirs[name], tensor, atol=1e-4), name
    assert together.evaluation.new.ndcg_at_10 == pytest.approx(alone.evaluation.new.ndcg_at_10, abs=0.02)


def test_r16_a_canceled_run_leaves_the_group_usable(trainers: Trainers, tiny_encoder: Path) -> None:
    """R16: after a call that is canceled in the middle of a step, the next call trains with both processes."""
    settings = tiny_settings(str(tiny_encoder), epochs=60)
    assert isinstance(asyncio.run(call(trainers, "canceled", settings, stop_at=1)), int)
    again = asyncio.run(call(trainers, "after", tiny_settings(str(tiny_encoder), epochs=1)))
    assert isinstance(again, ModelVersion)


@dataclass(frozen=True, slots=True)
class NotedGroup(Group):
    """A group of two whose leader has nothing left to do; it notes what is done with it."""

    size: int = 2
    done: list[str] = field(default_factory=list)

    def send(self, message: object) -> None:
        """Notes the message."""
        self.done.append(f"send {message}")

    def receive(self) -> object:
        """The leader's last message."""
        return self.done.append("receive")

    def leave(self) -> None:
        """Notes it."""
        self.done.append("leave")


def test_r20_the_leader_leaves_the_group_after_its_last_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """R20: a process that ends inside a group may abort: its threads release Python objects too late."""
    group = NotedGroup()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "join", lambda: group)
    with leading():
        assert group.done == []
    assert group.done == ["send None", "leave"]


def test_r20_a_follower_leaves_the_group_after_the_leaders_last_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """R20: a follower ends like the leader, outside the group."""
    group = NotedGroup(rank=1)
    monkeypatch.setattr(follower, "join", lambda: group)
    monkeypatch.setattr(follower.signal, "signal", lambda *_: None)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *_, **__: None)
    follower.follow()
    assert group.done == ["receive", "leave"]


def test_leaving_ends_the_groups_threads() -> None:
    """After a process has left, torch knows no group of it; alone there is none to leave."""
    distributed.ALONE.leave()
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    Group(size=2).leave()
    assert not dist.is_initialized()


def test_r20_sigterm_ends_all_processes(trainers: Trainers) -> None:
    """R20: the leader drains, and the follower ends with it. Last in this file, as it ends the trainers."""
    pids = children(trainers.process.pid)
    assert len(pids) == 2
    trainers.stop()
    assert not any(is_alive(pid) for pid in pids)
    log = trainers.log.read_text()
    assert "draining" in log
    assert "clickstream/" not in log, "a traceback of ours"  # torchrun leaves one of its own
    assert "terminate called" not in log, "a process was aborted"
