"""Checkpoints: a killed run goes on from its last one and ends in bitwise the same weights."""

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from clickstream.models.atomic_folder import sync
from clickstream.training.learning.adaptation import learnable
from clickstream.training.learning.early_stopping import EarlyStopping

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The one checkpoint of a run, `runs/<run_id>/checkpoint.pt`.

    `identity` names the data and settings that the weights depend on, the base model by its name: a checkpoint of
    another identity is ignored.
    """

    folder: Path
    identity: str

    @property
    def path(self) -> Path:
        """Where the checkpoint lies."""
        return self.folder / "checkpoint.pt"

    def save(self, encoder: torch.nn.Module, optimizer: Optimizer, stopping: EarlyStopping, step: int) -> None:
        """Replaces the checkpoint as a whole: a kill at any moment leaves the old one or the new one.

        Of the encoder it holds what learns; the rest is the base model's.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f"checkpoint.{os.getpid()}.tmp"
        state = {
            "identity": self.identity,
            "step": step,
            "encoder": {name: each.detach() for name, each in learnable(encoder).items()},
            "optimizer": optimizer.state_dict(),
            "early_stopping": stopping.state(),
            "random": torch.get_rng_state(),
        }
        try:
            torch.save(state, beside)
            sync(beside)
            beside.replace(self.path)
            sync(self.folder)
        finally:
            beside.unlink(missing_ok=True)

    def load(self, encoder: torch.nn.Module, optimizer: Optimizer, stopping: EarlyStopping) -> int:
        """Restores everything that `save` kept; returns the steps done, 0 without a usable checkpoint."""
        state = self._read()
        if state is None:
            return 0
        encoder.load_state_dict(state["encoder"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        stopping.load(state["early_stopping"])
        torch.set_rng_state(state["random"])
        return int(state["step"])

    def delete(self) -> None:
        """Removes the run's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # a file that another release or a bad disk left must not end the run
            logger.warning("checkpoint %s cannot be read, training starts over: %s", self.path, error)
            return None
        if state.get("identity") != self.identity:
            logger.warning("checkpoint %s is of other data or settings, training starts over", self.path)
            return None
        return state
