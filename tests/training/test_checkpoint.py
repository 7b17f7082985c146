from pathlib import Path

import pytest
import torch

from clickstream.training.checkpoint import Checkpoints


def trained(seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """A layer and its optimizer after one step."""
    torch.manual_seed(seed)
    layer = torch.nn.Linear(3, 3)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return layer, optimizer


def test_a_checkpoint_restores_everything(tmp_path: Path) -> None:
    """R16: weights, optimizer, step and random state come back bit by bit."""
    checkpoints = Checkpoints(tmp_path / "run", "same")
    layer, optimizer = trained(1)
    checkpoints.save(layer, optimizer, 12)
    expected = torch.rand(3)
    other, other_optimizer = trained(2)
    assert checkpoints.load(other, other_optimizer) == 12
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(layer.parameters(), other.parameters(), strict=True))
    moments = [torch.cat([s["exp_avg"].flatten() for s in o.state.values()]) for o in (optimizer, other_optimizer)]
    assert torch.equal(*moments)


def test_a_checkpoint_of_other_data_or_settings_is_ignored(tmp_path: Path) -> None:
    """R17: weights never mix two trainings."""
    Checkpoints(tmp_path, "one").save(*trained(1), 12)
    layer, optimizer = trained(2)
    before = layer.weight.clone()  # type: ignore[union-attr]
    assert Checkpoints(tmp_path, "other").load(layer, optimizer) == 0
    assert torch.equal(before, layer.weight)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 half a zip"])
def test_an_unreadable_checkpoint_starts_over(tmp_path: Path, content: bytes) -> None:
    """R16: a damaged file costs the steps since the start, not the run."""
    checkpoints = Checkpoints(tmp_path, "one")
    checkpoints.path.write_bytes(content)
    assert checkpoints.load(*trained(1)) == 0


def test_a_failed_save_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R16: a full disk while saving leaves the old checkpoint and no debris."""
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


def test_delete_removes_the_folder_and_may_be_repeated(tmp_path: Path) -> None:
    """A finished run leaves no checkpoint."""
    checkpoints = Checkpoints(tmp_path / "run", "one")
    checkpoints.save(*trained(1), 1)
    checkpoints.delete()
    checkpoints.delete()
    assert not checkpoints.folder.exists()
