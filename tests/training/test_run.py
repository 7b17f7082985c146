import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from support.shop_log import THINGS, WANTED, shop_log, tiny_settings
from transformers import AutoModel, AutoTokenizer

from clickstream.domain.errors import FailedPrecondition, InvalidArgument
from clickstream.domain.judgements import JudgedQuery
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings, Phase, TrainingProgress
from clickstream.domain.training_inputs import TrainingInput
from clickstream.training import Canceled, fine_tune
from clickstream.training import progress as progress_module
from clickstream.training import run as run_module
from clickstream.training.curve import CURVE_FILE, read_curve
from clickstream.training.encoder.version_folder import load_version
from clickstream.training.learning import loop
from clickstream.training.learning.loop import schedule

ADAPTED: dict[str, object] = {"lora_rank": 4, "loss": "contrastive", "early_stopping_patience": 5}
"""Settings that give a checkpoint every kind of state."""


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
    assert finished.gate_passed
    assert finished.evaluation.new.ndcg_at_10 > finished.evaluation.base.ndcg_at_10 + 0.3
    assert finished.evaluation.ndcg_gain.lower > 0
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
    assert not version.gate_passed
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


def test_judgements_are_measured_beside_clicks(
    finished: ModelVersion, settings: FineTuningSettings, tmp_path: Path
) -> None:
    """R18: judged queries, trained on or not, are reported; they train nothing, and are part of what a run is."""
    judged = [JudgedQuery(f"{wish} {thing}", {f"{WANTED[wish]}-{thing}": 1}) for wish in WANTED for thing in THINGS]
    judged.append(JudgedQuery("no such thing", {"gone": 1}))
    version = fine_tune(
        "run-1", settings, shop_log(1), judged, data_dir=tmp_path, report=lambda _: None, is_canceled=lambda: False
    )
    found = version.evaluation.judged
    assert found is not None
    assert (found.searched.query_count, found.unsearched.query_count) == (
        finished.data.training_queries,
        finished.data.held_out_queries,
    )
    assert min(found.searched.ndcg_gain.lower, found.unsearched.ndcg_gain.lower) > 0.2
    assert (found.unmeasured_queries, found.unknown_items) == (1, 1)
    assert_same_weights(version, finished)
    assert version.model_version_id != finished.model_version_id
    assert load_version(Path(version.path)) == version
    card = (Path(version.path) / "README.md").read_text()
    assert found.judgements_sha256 in card


def test_a_split_by_time_trains_on_the_past(settings: FineTuningSettings, tmp_path: Path) -> None:
    """R17: a run that splits by time ends in a version that says how much it left out, and loads again."""
    split = datetime(2026, 5, 4, tzinfo=UTC)
    inputs = [replace(one, searched_at=split + timedelta(hours=hours)) for one in shop_log(1) for hours in (-1, 1)]
    version = fine_tune(
        "run-1",
        replace(settings, held_out_after=split),
        inputs,
        data_dir=tmp_path,
        report=lambda _: None,
        is_canceled=lambda: False,
    )
    assert version.data.inputs_outside_time == 80
    assert version.gate_passed
    assert load_version(Path(version.path)) == version


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
    assert steps[0] == (killed_after - 1) // 3 * 3  # the report comes before the checkpoint
    assert_same_weights(finished, resumed)
    assert resumed.model_version_id == finished.model_version_id
    assert resumed.evaluation == finished.evaluation
    curves = [read_curve(Path(version.path) / CURVE_FILE) for version in (finished, resumed)]
    whole, gone_on = ([(point.step, point.loss) for point in curve] for curve in curves)
    assert gone_on == whole, "every step is in the curve once"


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


KILLED = """
import json, sys, time, torch
torch.set_num_threads(1)
from pathlib import Path
from support.shop_log import shop_log, tiny_settings
from clickstream.training import fine_tune, progress
from clickstream.training.learning import loop
loop.STEPS_PER_CHECKPOINT = 2
progress.SECONDS_PER_REPORT = 0.0

def say(now):
    if now.phase == "training":
        print(now.step, flush=True)
        time.sleep(0.01)

settings = tiny_settings(sys.argv[1], **json.loads(sys.argv[3]))
fine_tune("run-1", settings, shop_log(1), data_dir=Path(sys.argv[2]), report=say, is_canceled=lambda: False)
"""


@pytest.mark.parametrize("changes", [{}, ADAPTED], ids=["weights", "adapters"])
def test_a_killed_process_goes_on_to_the_same_weights(
    settings: FineTuningSettings, tmp_path: Path, changes: dict[str, object]
) -> None:
    """R16: SIGKILL at a random step of a real process, then a new one: bitwise the same weights."""
    changes = {**changes, "epochs": 6}
    kill_at = random.SystemRandom().randrange(4, 10)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, settings.base_model, str(tmp_path / "killed"), json.dumps(changes)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        reached = next(step for step in map(int, process.stdout) if step >= kill_at)
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list((tmp_path / "killed" / "models").glob("*"))

    changed = replace(settings, **changes)  # type: ignore[arg-type]
    steps: list[int] = []
    resumed = run(
        tmp_path / "killed", changed, report=lambda p: steps.append(p.step) if p.phase == Phase.TRAINING else None
    )
    assert steps[0] >= (reached - 1) // 2 * 2, f"killed at {reached}"
    assert_same_weights(run(tmp_path / "whole", changed), resumed)


def test_a_killed_run_stops_as_early(
    settings: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16: the best epoch's score and weights come back with the checkpoint, and the run stops where it would have."""
    monkeypatch.setattr(loop, "STEPS_PER_CHECKPOINT", 3)
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    changed = replace(settings, epochs=20, early_stopping_patience=2, learning_rate=3e-2)
    seen: list[TrainingProgress] = []
    whole = run(tmp_path / "whole", changed, report=seen.append)
    last = max(progress.step for progress in seen)
    assert last < seen[-1].step_count, "it did not stop early"

    for killed_after in (last - 5, last - 1, last):

        def kill(progress: TrainingProgress, at: int = killed_after) -> None:
            if progress.phase == Phase.TRAINING and progress.step == at:
                raise Killed

        folder = tmp_path / str(killed_after)
        with pytest.raises(Killed):
            run(folder, changed, report=kill)
        again: list[TrainingProgress] = []
        assert_same_weights(whole, run(folder, changed, report=again.append))
        assert max(progress.step for progress in again) == last


def test_early_stopping_gives_the_best_epochs_weights(
    settings: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores 0.2, 0.3, 0.1: after the third epoch the run stops, with the weights of the second."""
    scores = iter([0.2, 0.3, 0.1])
    kept: list[dict[str, torch.Tensor]] = []

    def score(encoder: SentenceTransformer, *_: object) -> float:
        kept.append({name: tensor.clone() for name, tensor in encoder[0].auto_model.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(loop, "validation_score", score)
    version = run(tmp_path, replace(settings, epochs=9, early_stopping_patience=1))
    assert len(kept) == 3
    saved = weights(version)
    assert all(torch.equal(saved[name], kept[1][name]) for name in saved)
    assert any(not torch.equal(saved[name], kept[2][name]) for name in saved)
    measured = [point.metrics for point in read_curve(Path(version.path) / CURVE_FILE)]
    told = [
        (each["validation_ndcg_at_10"], each["validation_best_epoch"])
        for each in measured
        if "validation_ndcg_at_10" in each
    ]
    assert told == [(0.2, 1), (0.3, 2), (0.1, 2)]


@pytest.mark.parametrize("changes", [{"loss": "contrastive"}, {"lora_rank": 8}, {"frozen_layers": 1}], ids=str)
def test_every_way_to_learn_learns(settings: FineTuningSettings, tmp_path: Path, changes: dict[str, object]) -> None:
    """R17: with each loss, with adapters, and with the upper layer alone, held-out queries rank better."""
    version = run(tmp_path, replace(settings, epochs=6, **changes))  # type: ignore[arg-type]
    assert version.evaluation.ndcg_gain.lower > 0
    base, new = load_file(Path(settings.base_model) / "model.safetensors"), weights(version)
    assert new.keys() == base.keys()
    learned = {name for name in base if not torch.equal(base[name], new[name])}
    assert any(".layer.1." in name for name in learned)
    assert all(".layer.1." in name for name in learned) == ("frozen_layers" in changes)


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


@pytest.mark.parametrize("run_id", ["", ".", "..", ".hidden", "a/b", "../x", "a" * 129, "a b"])
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


def test_a_model_version_that_lies_elsewhere_ends_the_run(
    settings: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16: its id is asked of no hub, and the reason says where it was sought."""
    monkeypatch.setattr(run_module, "load_encoder", lambda *_: pytest.fail("sought as a model name"))
    with pytest.raises(FailedPrecondition, match="'run-1-0123456789ab' does not lie on the machine that trains"):
        run(tmp_path, replace(settings, base_model="run-1-0123456789ab"))


def test_the_learning_rate_rises_then_falls() -> None:
    """Linear warm-up over the first tenth, then linear to 0."""
    shares = [schedule(step, 100) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == pytest.approx(shares[9], abs=0.1)
    assert shares[-1] == pytest.approx(0.01)
    assert schedule(0, 1) == 1.0


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
