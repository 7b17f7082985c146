"""Training by several processes: the first leads, the others encode their share of every step.

    torchrun --nproc-per-node 2 -m clickstream trainer --listen 127.0.0.1:50061

The leader serves FineTune and does everything that a single process does: data, loss, optimizer, checkpoints and
evaluation are its own. For every step it sends the weights that learn and the texts, and every process encodes its
share of them (`gradients.backpropagate_parts`). The others know neither labels nor loss: whatever the loss, several
processes give the weights that one gives, up to the order of sums.

If a process dies, the group ends; `torchrun --max-restarts` starts it again, and the run continues from its
checkpoint.
"""

import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

# How long the others wait for the leader, which may have no run for a long time.
IDLE = timedelta(days=365)

# How long the processes wait for one another within a step; then they end, and torchrun starts them again.
STEP = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Group:
    """The processes that share the texts of a step. In a group of one process, nothing is sent."""

    rank: int = 0
    size: int = 1
    # The process group of messages, on the CPU.
    control: Any = None

    def send(self, message: object) -> None:
        """Sends the others a message: what to do next. For the leader only."""
        if self.size > 1:
            dist.broadcast_object_list([message], src=0, group=self.control, device=torch.device("cpu"))

    def receive(self) -> Any:
        """Waits for the leader's next message, and returns it."""
        messages = [None]
        dist.broadcast_object_list(messages, src=0, group=self.control, device=torch.device("cpu"))
        return messages[0]

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Overwrites the others' tensors with the leader's."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Adds the others' tensors to the leader's; afterwards the others' own are undefined."""
        if self.size > 1:
            for tensor in tensors:
                dist.reduce(tensor.detach(), dst=0)

    def leave(self) -> None:
        """Closes the connections and ends their threads; the group cannot be used afterwards.

        A process that exits without it may abort or hang: the threads release Python objects while the
        interpreter is being taken down.
        """
        if self.size > 1:
            dist.destroy_process_group()


# The group of a process that trains alone.
ALONE = Group()


@functools.cache
def join() -> Group:
    """Joins the group that torchrun started this process in, as its environment says; `ALONE` without one.

    The first call waits for the other processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=STEP)
    control = dist.new_group(backend="gloo", timeout=IDLE)
    return Group(dist.get_rank(), dist.get_world_size(), control)


def device() -> str:
    """The device on which this process computes: a GPU of its own, or the CPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
