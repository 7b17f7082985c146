"""A run from inputs to a model version: what it learns, measures, reports and refuses."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from support.fine_tuning_runs import assert_same_weights, fine_tune_shop_log, weights
from support.shop_log import THINGS, WANTED, shop_log
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


def test_r17_clicks_teach_what_the_base_model_cannot_know(finished: ModelVersion) -> None:
    """R17: on queries that training never saw, the new model is better beyond noise, and passes its gate."""
    assert finished.gate_passed
    assert finished.evaluation.new.ndcg_at_10 > finished.evaluation.base.ndcg_at_10 + 0.3
    assert finished.evaluation.ndcg_gain.lower > 0
    assert finished.data.training_queries + finished.data.held_out_queries == 80


def test_r17_random_clicks_do_not_pass_the_gate(settings: FineTuningSettings, tmp_path: Path) -> None:
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
    """sentence-transformers and transformers load the folder, and give the vectors of training."""
    whole = SentenceTransformer(finished.path, device="cpu")
    assert whole.max_seq_length == settings.max_tokens
    tokens = AutoTokenizer.from_pretrained(finished.path)(["red shoe"], return_tensors="pt")
    states = AutoModel.from_pretrained(finished.path)(**tokens).last_hidden_state
    by_hand = torch.nn.functional.normalize(states.mean(dim=1), dim=1)
    assert torch.allclose(torch.tensor(whole.encode(["red shoe"])), by_hand, atol=1e-5)


def test_the_folder_is_complete(finished: ModelVersion) -> None:
    """It has the card, the version file, weights, tokenizer and pooling; no checkpoint is left."""
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


def test_r18_judgements_are_measured_beside_clicks(
    finished: ModelVersion, settings: FineTuningSettings, tmp_path: Path
) -> None:
    """R18: judged queries are reported and never train; the judgements are part of the version's identity."""
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


def test_r17_a_split_by_time_trains_on_the_past(settings: FineTuningSettings, tmp_path: Path) -> None:
    """R17: a version of a run that splits by time counts the sessions left out, and loads again."""
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


def test_r17_same_data_and_seed_same_model(
    finished: ModelVersion, settings: FineTuningSettings, tmp_path: Path
) -> None:
    """R17: a second run, under another id, has bitwise the same weights and metrics; another seed has not."""
    again = fine_tune_shop_log(tmp_path, settings, run_id="run-2")
    assert_same_weights(finished, again)
    assert again.evaluation == finished.evaluation
    other = fine_tune_shop_log(tmp_path, replace(settings, seed=43), run_id="run-3")
    assert any(not torch.equal(weights(other)[name], tensor) for name, tensor in weights(finished).items())


def test_early_stopping_gives_the_best_epochs_weights(
    settings: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With scores 0.2, 0.3 and 0.1 the run stops after the third epoch, with the weights of the second."""
    scores = iter([0.2, 0.3, 0.1])
    kept: list[dict[str, torch.Tensor]] = []

    def score(encoder: SentenceTransformer, *_: object) -> float:
        kept.append({name: tensor.cpu().clone() for name, tensor in encoder[0].auto_model.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(loop, "validation_score", score)
    version = fine_tune_shop_log(tmp_path, replace(settings, epochs=9, early_stopping_patience=1))
    assert len(kept) == 3
    saved = weights(version)
    assert all(torch.equal(saved[name], kept[1][name]) for name in saved)
    assert any(not torch.equal(saved[name], kept[2][name]) for name in saved)
    measured = [point.metrics for point in read_curve(Path(version.path) / CURVE_FILE)]
    reported = [
        (each["validation_ndcg_at_10"], each["validation_best_epoch"])
        for each in measured
        if "validation_ndcg_at_10" in each
    ]
    assert reported == [(0.2, 1), (0.3, 2), (0.1, 2)]


@pytest.mark.parametrize("changes", [{"loss": "contrastive"}, {"lora_rank": 8}, {"frozen_layers": 1}], ids=str)
def test_r17_every_way_to_learn_learns(
    settings: FineTuningSettings, tmp_path: Path, changes: dict[str, object]
) -> None:
    """R17: with each loss, with adapters, and with the upper layer alone, held-out queries rank better."""
    version = fine_tune_shop_log(tmp_path, replace(settings, epochs=6, **changes))  # type: ignore[arg-type]
    assert version.evaluation.ndcg_gain.lower > 0
    base, new = load_file(Path(settings.base_model) / "model.safetensors"), weights(version)
    assert new.keys() == base.keys()
    learned = {name for name in base if not torch.equal(base[name], new[name])}
    assert any(".layer.1." in name for name in learned)
    assert all(".layer.1." in name for name in learned) == ("frozen_layers" in changes)


def test_r16_cancel_stops_in_every_phase(
    settings: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16: cancel stops a run while it reads, measures and trains, within one step."""
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    for phase in (Phase.RECEIVING_INPUTS, Phase.EVALUATING_BASE, Phase.TRAINING, Phase.EVALUATING_NEW):
        seen: list[TrainingProgress] = []

        def canceled(phase: Phase = phase, seen: list[TrainingProgress] = seen) -> bool:
            return bool(seen) and seen[-1].phase == phase and (phase != Phase.TRAINING or seen[-1].step >= 2)

        with pytest.raises(Canceled):
            fine_tune_shop_log(tmp_path / phase, settings, report=seen.append, is_canceled=canceled)
        assert seen[-1].phase == phase
        assert phase != Phase.TRAINING or seen[-1].step == 2
        assert not (tmp_path / phase / "models").exists()


def test_progress_says_where_the_run_is(
    settings: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Phases come in order, inputs and steps are counted, the loss falls, and the learning rate rises, then falls."""
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    seen: list[TrainingProgress] = []
    fine_tune_shop_log(tmp_path, settings, report=seen.append)
    assert list(dict.fromkeys(progress.phase for progress in seen)) == [p for p in Phase if p is not Phase.WAITING]
    assert [p.input_count for p in seen] == sorted(p.input_count for p in seen)
    assert seen[-1].input_count == 80
    steps = {p.step: p for p in seen if p.phase == Phase.TRAINING and p.step}
    assert list(steps) == list(range(1, seen[-1].step_count + 1))
    assert steps[len(steps)].loss < steps[1].loss
    assert steps[1].learning_rate <= max(p.learning_rate for p in steps.values()) <= settings.learning_rate
    assert 0 < steps[len(steps)].learning_rate < steps[2].learning_rate
    assert all(p.queries_per_second > 0 for p in steps.values())
    assert steps[len(steps)].remaining_seconds == 0 < steps[1].remaining_seconds


@pytest.mark.parametrize("run_id", ["", ".", "..", ".a", "a/b", "../x", "a" * 129, "a b"])
def test_r7_a_run_id_never_leaves_the_data_folder(settings: FineTuningSettings, tmp_path: Path, run_id: str) -> None:
    """R7: a value that is no run id is refused, and the refusal names the field."""
    with pytest.raises(InvalidArgument) as caught:
        fine_tune_shop_log(tmp_path, settings, run_id=run_id)
    assert caught.value.violations[0].field == "run_id"
    assert list(tmp_path.iterdir()) == []


def test_r16_a_base_model_that_does_not_load_ends_the_run(settings: FineTuningSettings, tmp_path: Path) -> None:
    """R16: the reason names the model."""
    with pytest.raises(FailedPrecondition, match="/no/model"):
        fine_tune_shop_log(tmp_path, replace(settings, base_model="/no/model"))


def test_r16_a_model_version_that_lies_elsewhere_ends_the_run(
    settings: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16: the id is not looked up in a hub, and the reason says in which folder it was looked for."""
    monkeypatch.setattr(run_module, "load_encoder", lambda *_: pytest.fail("looked up as a model name"))
    with pytest.raises(FailedPrecondition, match="'run-1-0123456789ab' is not on the machine that trains"):
        fine_tune_shop_log(tmp_path, replace(settings, base_model="run-1-0123456789ab"))


def test_the_learning_rate_rises_then_falls() -> None:
    """It warms up linearly over the first tenth of the steps, then falls linearly to 0."""
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
    version = fine_tune_shop_log(tmp_path, base, run_id="run-2")
    assert (version.parent_model_version_id, version.base_model) == (finished.model_version_id,) * 2
    assert version.evaluation.base.ndcg_at_10 == pytest.approx(finished.evaluation.new.ndcg_at_10)
    assert finished.parent_model_version_id == ""
