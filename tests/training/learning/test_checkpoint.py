from pathlib import Path

import pytest
import torch

from clickstream.training.learning import checkpoint
from clickstream.training.learning.checkpoint import Checkpoints
from clickstream.training.learning.early_stopping import EarlyStopping


def trained(seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer, EarlyStopping]:
    """A layer, its optimizer and its early stopping after one step; every seed gives other gradients."""
    torch.manual_seed(seed)
    layer = torch.nn.Linear(3, 3)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.full((1, 3), float(seed))).sum().backward()
    optimizer.step()
    stopping = EarlyStopping(patience=2)
    stopping.after_epoch(0.1 * seed, layer)
    return layer, optimizer, stopping


def test_r16_a_checkpoint_restores_everything(tmp_path: Path) -> None:
    """R16: weights, optimizer, step and random state come back bit by bit."""
    checkpoints = Checkpoints(tmp_path / "run", "same")
    layer, optimizer, stopping = trained(1)
    checkpoints.save(layer, optimizer, stopping, 12)
    expected = torch.rand(3)
    other, other_optimizer, other_stopping = trained(2)
    assert checkpoints.load(other, other_optimizer, other_stopping) == 12
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(layer.parameters(), other.parameters(), strict=True))
    for moment in ("exp_avg", "exp_avg_sq"):
        both = [torch.cat([s[moment].flatten() for s in o.state.values()]) for o in (optimizer, other_optimizer)]
        assert torch.equal(*both)
    kept, restored = stopping.state(), other_stopping.state()
    best, restored_best = kept.pop("best_weights"), restored.pop("best_weights")
    assert kept == restored
    assert all(torch.equal(tensor, restored_best[name]) for name, tensor in best.items())


def test_a_checkpoint_has_only_weights_that_learn(tmp_path: Path) -> None:
    """Frozen weights are the base model's: they are neither saved nor loaded."""
    layer, optimizer, stopping = trained(1)
    layer.bias.requires_grad_(False)  # type: ignore[union-attr]
    checkpoints = Checkpoints(tmp_path, "same")
    checkpoints.save(layer, optimizer, stopping, 12)
    assert list(torch.load(checkpoints.path)["encoder"]) == ["weight"]
    other = trained(2)
    bias = other[0].bias.clone()  # type: ignore[operator,union-attr]
    assert checkpoints.load(*other) == 12
    assert torch.equal(other[0].weight, layer.weight)  # type: ignore[arg-type]
    assert torch.equal(other[0].bias, bias)  # type: ignore[arg-type]


def test_r17_a_checkpoint_of_other_data_or_settings_is_ignored(tmp_path: Path) -> None:
    """R17: the weights stay those of the base model, and training starts over."""
    Checkpoints(tmp_path, "one").save(*trained(1), 12)
    layer, optimizer, stopping = trained(2)
    before = layer.weight.clone()  # type: ignore[operator,union-attr]
    assert Checkpoints(tmp_path, "other").load(layer, optimizer, stopping) == 0
    assert torch.equal(before, layer.weight)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 half a zip"])
def test_r16_an_unreadable_checkpoint_starts_over(tmp_path: Path, content: bytes) -> None:
    """R16: with a damaged file the run starts over, and does not fail."""
    checkpoints = Checkpoints(tmp_path, "one")
    checkpoints.path.write_bytes(content)
    assert checkpoints.load(*trained(1)) == 0


def test_r16_a_failed_save_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R16: a full disk while saving leaves the old checkpoint and no other file."""
    checkpoints = Checkpoints(tmp_path, "one")
    checkpoints.save(*trained(1), 10)

    def full(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="no space left"):
            checkpoints.save(*trained(2), 20)
    assert checkpoints.load(*trained(3)) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_r16_a_checkpoint_is_on_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R16: after a power cut the checkpoint is the whole old one or the whole new one, never a file without content."""
    checkpoints = Checkpoints(tmp_path, "one")
    synced: list[tuple[int, int]] = []

    def sync(path: Path) -> None:
        before = torch.load(checkpoints.path)["step"]
        synced.append((torch.load(path)["step"] if path.is_file() else 0, before))

    checkpoints.save(*trained(1), 10)
    monkeypatch.setattr(checkpoint, "sync", sync)
    checkpoints.save(*trained(1), 20)
    assert synced == [(20, 10), (0, 20)]


def test_delete_removes_the_folder_and_may_be_repeated(tmp_path: Path) -> None:
    """The first call removes the folder, and the second does nothing."""
    checkpoints = Checkpoints(tmp_path / "run", "one")
    checkpoints.save(*trained(1), 1)
    checkpoints.delete()
    checkpoints.delete()
    assert not checkpoints.folder.exists()
