"""Checkpoints: a killed run continues from its last one and ends with bitwise the same weights."""

import logging
import os
import shutil
from dataclasses import dataclass, replace
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
    """The checkpoint of a run, `runs/<run_id>/checkpoint.pt`, or of one of its folds.

    `identity` is the run's `training_identity`: a checkpoint of other data or settings is ignored.
    """

    folder: Path
    identity: str

    @property
    def path(self) -> Path:
        """The checkpoint's file."""
        return self.folder / "checkpoint.pt"

    def save(self, encoder: torch.nn.Module, optimizer: Optimizer, stopping: EarlyStopping, step: int) -> None:
        """Replaces the checkpoint as a whole: a kill at any moment leaves the old one or the new one.

        Args:
            encoder: Its learnable weights are saved; the others are the base model's.
            optimizer: Saved with its moments.
            stopping: Saved with the best epoch's weights.
            step: Steps done.

        Raises:
            OSError: The disk is full, say; the old checkpoint stays.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f"checkpoint.{os.getpid()}.tmp"
        state = {
            "identity": self.identity,
            "step": step,
            "encoder": {name: each.detach() for name, each in learnable(encoder).items()},
            "optimizer": optimizer.state_dict(),
            "early_stopping": stopping.state(),
            "random": torch.get_rng_state(),
        }
        try:
            torch.save(state, unfinished)
            sync(unfinished)
            unfinished.replace(self.path)
            sync(self.folder)
        finally:
            unfinished.unlink(missing_ok=True)

    def load(self, encoder: torch.nn.Module, optimizer: Optimizer, stopping: EarlyStopping) -> int:
        """Restores everything that `save` saved; returns the steps done, 0 without a usable checkpoint."""
        state = self._read()
        if state is None:
            return 0
        encoder.load_state_dict(state["encoder"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        stopping.load(state["early_stopping"])
        torch.set_rng_state(state["random"])
        return int(state["step"])

    def of_fold(self, number: int) -> "Checkpoints":
        """The checkpoint of one of several folds, counted from 1; `delete` of the run's own removes it, too."""
        return replace(self, folder=self.folder / f"fold-{number}")

    def delete(self) -> None:
        """Removes the run's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # a file of another release or from a bad disk must not end the run
            logger.warning("checkpoint %s cannot be read, training starts over: %s", self.path, error)
            return None
        if state.get("identity") != self.identity:
            logger.warning("checkpoint %s is of other data or settings, training starts over", self.path)
            return None
        return state
