import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from training.shop_log import WANTED, shop_log, tiny_settings
from transformers import AutoModel, AutoTokenizer

from clickstream.converter import TrainingInput
from clickstream.errors import FailedPrecondition, InvalidArgument
from clickstream.runs import FineTuningSettings, ModelVersion, Phase, TrainingProgress
from clickstream.training import Canceled, fine_tune, loop
from clickstream.training import progress as progress_module
from clickstream.training.version import load_version


class Killed(BaseException):
    """Stands for the process being gone: nothing in the module may catch it."""


def run(
    data_dir: Path,
    settings: FineTuningSettings,
    *,
    run_id: str = "run-1",
    report: Callable[[TrainingProgress], None] = lambda progress: None,
    is_canceled: Callable[[], bool] = lambda: False,
) -> ModelVersion:
    """Fine-tunes on the shop log."""
    return fine_tune(run_id, settings, shop_log(1), data_dir=data_dir, report=report, is_canceled=is_canceled)


def weights(version: ModelVersion) -> dict[str, torch.Tensor]:
    """The tensors in a model folder."""
    return dict(load_file(Path(version.path) / "model.safetensors"))


def assert_same_weights(one: ModelVersion, other: ModelVersion) -> None:
    """Bitwise, not about."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def settings(tiny_encoder: Path) -> FineTuningSettings:
    """Settings that train the tiny encoder."""
    return tiny_settings(str(tiny_encoder))


@pytest.fixture(scope="module")
def finished(settings: FineTuningSettings, tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    """An uninterrupted run."""
    return run(tmp_path_factory.mktemp("finished"), settings)


def test_clicks_teach_what_the_base_model_cannot_know(finished: ModelVersion) -> None:
    """R17: on queries that training never saw, the new model is better beyond noise, and is promoted."""
    assert finished.promoted
    assert finished.evaluation.new.ndcg_at_10 > finished.evaluation.base.ndcg_at_10 + 0.3
    assert finished.evaluation.ndcg_gain_lower > 0
    assert finished.data.training_queries + finished.data.held_out_queries == 80


def test_clicks_at_random_are_not_promoted(settings: FineTuningSettings, tmp_path: Path) -> None:
    """R17: a model trained on noise does not pass the gate."""

    def noise() -> Iterator[TrainingInput]:
        words = list(WANTED.values())
        for one in shop_log(1):
            clicked = words[hash_of(one.query) % 10]
            results = (replace(r, grade=float(r.object_id.startswith(clicked))) for r in one.results)
            yield replace(one, results=tuple(results))

    def hash_of(query: str) -> int:
        return sum(ord(letter) * (place + 7) ** 3 for place, letter in enumerate(query))

    version = fine_tune(
        "noise",
        replace(settings, held_out_share=0.4),
        noise(),
        data_dir=tmp_path,
        report=lambda progress: None,
        is_canceled=lambda: False,
    )
    assert not version.promoted
    assert "not better beyond noise" in version.gate_reason or "worse" in version.gate_reason


def test_the_folder_loads_everywhere(finished: ModelVersion, settings: FineTuningSettings) -> None:
    """sentence-transformers and transformers load the folder, and their vectors are those of training."""
    whole = SentenceTransformer(finished.path, device="cpu")
    assert whole.max_seq_length == settings.max_tokens
    tokens = AutoTokenizer.from_pretrained(finished.path)(["red shoe"], return_tensors="pt")
    states = AutoModel.from_pretrained(finished.path)(**tokens).last_hidden_state
    by_hand = torch.nn.functional.normalize(states.mean(dim=1), dim=1)
    assert torch.allclose(torch.tensor(whole.encode(["red shoe"])), by_hand, atol=1e-5)


def test_the_folder_is_complete(finished: ModelVersion) -> None:
    """Card, machine-readable version, weights, tokenizer and pooling; no checkpoint is left."""
    folder = Path(finished.path)
    assert folder.name == finished.model_version_id
    assert load_version(folder) == finished
    names = {path.name for path in folder.iterdir()}
    assert {"README.md", "model.safetensors", "tokenizer.json", "modules.json", "1_Pooling", "config.json"} <= names
    card = (folder / "README.md").read_text()
    for fact in (
        finished.data_fingerprint,
        finished.policy_version,
        finished.gate_reason,
        "nDCG@10",
        "held out queries",
    ):
        assert fact in card
    assert [path.name for path in folder.parent.parent.glob("runs/*")] == []


def test_same_data_and_seed_same_model(finished: ModelVersion, settings: FineTuningSettings, tmp_path: Path) -> None:
    """R17: a second run, under another id, has bitwise the same weights and metrics; another seed has not."""
    again = run(tmp_path, settings, run_id="run-2")
    assert_same_weights(finished, again)
    assert again.evaluation == finished.evaluation
    other = run(tmp_path, replace(settings, seed=43), run_id="run-3")
    assert any(not torch.equal(weights(other)[name], tensor) for name, tensor in weights(finished).items())


@pytest.mark.parametrize("killed_after", [1, 3, 4, 7])
def test_a_killed_run_goes_on_to_the_same_weights(
    finished: ModelVersion,
    settings: FineTuningSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed_after: int,
) -> None:
    """R16: killed before, on and after a checkpoint (every 3 steps), a run ends in bitwise the same weights."""
    monkeypatch.setattr(loop, "STEPS_PER_CHECKPOINT", 3)
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    steps: list[int] = []

    def kill(progress: TrainingProgress) -> None:
        if progress.phase == Phase.TRAINING and progress.step == killed_after:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path, settings, report=kill)
    torch.manual_seed(killed_after)  # a new process starts with any random state
    resumed = run(tmp_path, settings, report=lambda p: steps.append(p.step) if p.phase == Phase.TRAINING else None)
    assert steps[0] == killed_after // 3 * 3
    assert_same_weights(finished, resumed)
    assert resumed.model_version_id == finished.model_version_id
    assert resumed.evaluation == finished.evaluation


@pytest.mark.parametrize("phase", [Phase.EVALUATING_NEW, Phase.SAVING])
def test_a_run_killed_after_training_does_not_train_again(
    finished: ModelVersion, settings: FineTuningSettings, tmp_path: Path, phase: Phase
) -> None:
    """R16: the last checkpoint is of the last step."""

    def kill(progress: TrainingProgress) -> None:
        if progress.phase == phase:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path, settings, report=kill)
    seen: list[TrainingProgress] = []
    resumed = run(tmp_path, settings, report=seen.append)
    assert {p.step for p in seen if p.phase == Phase.TRAINING} == {seen[-1].step_count}
    assert_same_weights(finished, resumed)


def test_a_killed_process_goes_on_to_the_same_weights(
    finished: ModelVersion, settings: FineTuningSettings, tmp_path: Path
) -> None:
    """R16: SIGKILL in the middle of a real process, then a new one: bitwise the same weights."""
    script = (
        "import sys, time, torch\n"
        "torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from training.shop_log import shop_log, tiny_settings\n"
        "from clickstream.training import fine_tune, loop, progress\n"
        "loop.STEPS_PER_CHECKPOINT = 2\n"
        "progress.SECONDS_PER_REPORT = 0.0\n"
        "def slowly(now):\n"
        "    time.sleep(0.2 if now.phase == 'training' and now.step == 5 else 0)\n"
        "fine_tune('run-1', tiny_settings(sys.argv[1]), shop_log(1), data_dir=Path(sys.argv[2]),\n"
        "          report=slowly, is_canceled=lambda: False)\n"
    )
    tests = str(Path(__file__).parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", script, settings.base_model, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([tests, *sys.path])},
    )
    checkpoint = tmp_path / "runs" / "run-1" / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list((tmp_path / "models").glob("*"))

    steps: list[int] = []
    resumed = run(tmp_path, settings, report=lambda p: steps.append(p.step) if p.phase == Phase.TRAINING else None)
    assert steps[0] >= 2
    assert_same_weights(finished, resumed)


def test_a_finished_run_returns_its_version_at_once(settings: FineTuningSettings, tmp_path: Path) -> None:
    """R16: a run taken up again after its end trains nothing, and gives the same version."""
    first = run(tmp_path, settings)
    phases: list[Phase] = []
    again = run(tmp_path, settings, report=lambda progress: phases.append(progress.phase))
    assert again == first
    assert set(phases) == {Phase.RECEIVING_INPUTS}


def test_a_checkpoint_of_other_settings_is_not_taken_up(
    settings: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R17: the result depends on the settings of this run only, whatever an earlier attempt left behind."""
    monkeypatch.setattr(loop, "STEPS_PER_CHECKPOINT", 1)
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    changed = replace(settings, temperature=0.1, epochs=1)

    def kill(progress: TrainingProgress) -> None:
        if progress.step == 3:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "a", settings, report=kill)
    assert (tmp_path / "a" / "runs" / "run-1" / "checkpoint.pt").exists()
    assert_same_weights(run(tmp_path / "a", changed), run(tmp_path / "b", changed))


def test_cancel_stops_in_every_phase(
    settings: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16: cancel stops a run while it reads, measures and trains, within one step."""
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    for phase in (Phase.RECEIVING_INPUTS, Phase.EVALUATING_BASE, Phase.TRAINING, Phase.EVALUATING_NEW):
        seen: list[TrainingProgress] = []

        def canceled(phase: Phase = phase, seen: list[TrainingProgress] = seen) -> bool:
            return bool(seen) and seen[-1].phase == phase and (phase != Phase.TRAINING or seen[-1].step >= 2)

        with pytest.raises(Canceled):
            run(tmp_path / phase, settings, report=seen.append, is_canceled=canceled)
        assert seen[-1].phase == phase
        assert phase != Phase.TRAINING or seen[-1].step == 2
        assert not (tmp_path / phase / "models").exists()


def test_progress_says_where_the_run_is(
    settings: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Phases in order, inputs and steps counted up, the loss falling, the learning rate up and then down."""
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    seen: list[TrainingProgress] = []
    run(tmp_path, settings, report=seen.append)
    assert list(dict.fromkeys(progress.phase for progress in seen)) == list(Phase)
    assert [p.input_count for p in seen] == sorted(p.input_count for p in seen)
    assert seen[-1].input_count == 80
    steps = {p.step: p for p in seen if p.phase == Phase.TRAINING and p.step}
    assert list(steps) == list(range(1, seen[-1].step_count + 1))
    assert steps[len(steps)].loss < steps[1].loss
    assert steps[1].learning_rate <= max(p.learning_rate for p in steps.values()) <= settings.learning_rate
    assert 0 < steps[len(steps)].learning_rate < steps[2].learning_rate
    assert all(p.queries_per_second > 0 for p in steps.values())
    assert steps[len(steps)].remaining_seconds == 0 < steps[1].remaining_seconds


@pytest.mark.parametrize("run_id", ["", ".", "..", "a/b", "../x", "a" * 129, "a b"])
def test_a_run_id_never_leaves_the_data_folder(settings: FineTuningSettings, tmp_path: Path, run_id: str) -> None:
    """R7: an id that could not name a folder is refused by its field."""
    with pytest.raises(InvalidArgument) as caught:
        run(tmp_path, settings, run_id=run_id)
    assert caught.value.violations[0].field == "run_id"
    assert list(tmp_path.iterdir()) == []


def test_a_base_model_that_does_not_load_ends_the_run(settings: FineTuningSettings, tmp_path: Path) -> None:
    """R16: the reason names the model."""
    with pytest.raises(FailedPrecondition, match="/no/model"):
        run(tmp_path, replace(settings, base_model="/no/model"))


def test_the_gradient_does_not_depend_on_memory(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that are encoded twice carry the same gradient as those whose graph is kept."""
    texts = [f"{word} shoe" for word in WANTED.values()] * 3

    def gradient(live: int, tokens: int) -> torch.Tensor:
        monkeypatch.setattr(loop, "LIVE_CHUNKS", live)
        monkeypatch.setattr("clickstream.training.model.CHUNK_TOKENS", tokens)
        encoder = loop.load_encoder(str(tiny_encoder), 16, "cpu")
        loop.backward(encoder, texts, lambda vectors: (vectors[:5] @ vectors[5:].T).exp().sum(), lambda: None)
        return torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None])

    whole = gradient(live=1, tokens=4096)
    assert whole.abs().max() > 0
    assert torch.allclose(gradient(live=0, tokens=4096), whole, rtol=1e-4, atol=1e-6)
    assert torch.allclose(gradient(live=2, tokens=40), whole, rtol=1e-3, atol=1e-5)


def test_the_learning_rate_rises_then_falls() -> None:
    """Linear warm-up over the first tenth, then linear to 0."""
    shares = [loop.schedule(step, 100) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == pytest.approx(shares[9], abs=0.1)
    assert shares[-1] == pytest.approx(0.01)
    assert loop.schedule(0, 1) == 1.0


def test_a_version_can_be_the_base_of_the_next(
    finished: ModelVersion, settings: FineTuningSettings, tmp_path: Path
) -> None:
    """A run whose base model is a version's id starts from its weights and names it as parent."""
    shutil.copytree(finished.path, tmp_path / "models" / finished.model_version_id)
    base = replace(settings, base_model=finished.model_version_id, epochs=1)
    version = run(tmp_path, base, run_id="run-2")
    assert (version.parent_model_version_id, version.base_model) == (finished.model_version_id,) * 2
    assert version.evaluation.base.ndcg_at_10 == pytest.approx(finished.evaluation.new.ndcg_at_10)
    assert finished.parent_model_version_id == ""
