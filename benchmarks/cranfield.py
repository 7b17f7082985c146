"""Trains a model on simulated clicks over the Cranfield collection, and measures it by judgements it never saw.

    python benchmarks/cranfield.py --data <folder with cran.all.1400, cran.qry, cranqrel>

A base model ranks the 1,400 abstracts; simulated readers click in its top 20 for 150 of the 225 questions; the
sessions go through the RPCs of a server, a batch is released, a run trains, and its model folder is measured by the
judgements, also on the 75 questions that were never searched. `--offline` leaves the server out.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import grpc
from cranfield_collection import (
    DOCUMENTS,
    SHOWN,
    Collection,
    Visit,
    mean_ndcg_by_part,
    question_parts,
    rank_all,
    read_collection,
    simulate_visits,
)
from embedding_studio.clickstream.v1 import (
    batch_service_pb2,
    clickstream_service_pb2,
    session_pb2,
    training_service_pb2,
)
from embedding_studio.clickstream.v1 import training_progress_pb2 as progress_pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from measuring import machine_and_versions, server_process

from clickstream.app.trainer import packaged_model
from clickstream.client.calls import batch_stub, call, clickstream_stub, training_stub
from clickstream.conversion.convert import convert
from clickstream.conversion.importance import PACKAGED_POLICY, load_policy
from clickstream.domain.runs import FineTuningSettings, TrainingProgress
from clickstream.domain.training_inputs import ConversionSummary, SearchSession, SessionEvent, ShownResult
from clickstream.training import fine_tune

TEMPLATE = "{title}. {text}"


@dataclass(frozen=True)
class Trained:
    """The outcome of one run: the model folder, seconds of optimizing, the gate's reason and verdict, and inputs."""

    path: str
    seconds: float
    gate_reason: str
    gate_passed: bool
    inputs: int


@dataclass(frozen=True)
class Row:
    """One line of the table: nDCG@10 of the base and the new model by part of the questions."""

    correction: str
    seed: int
    trained: Trained
    base: dict[str, float]
    new: dict[str, float]

    @property
    def name(self) -> str:
        """The first cell of the line."""
        return f"{self.correction}, {self.seed}"


def train_offline(
    collection: Collection, ranking: list[list[int]], visits: list[Visit], settings: FineTuningSettings, run_id: str
) -> Trained:
    """Trains without a server: with the conversion and the fine-tuning module alone."""
    policy = load_policy(PACKAGED_POLICY)
    summary = ConversionSummary(policy.version)

    def sessions() -> Iterator[SearchSession]:
        for number, visit in enumerate(visits, 1):
            shown = ranking[visit.question][:SHOWN]
            yield SearchSession(
                session_id=visit.session_id,
                batch_id="offline",
                number=number,
                query=collection.questions[visit.question],
                results=[ShownResult(str(d + 1), k, _meta(collection, d)) for k, d in enumerate(shown)],
                events=[SessionEvent(f"click-{k}", str(shown[k] + 1), "click", visit.at) for k in visit.clicked],
            )

    inputs = (one for session in sessions() if (one := convert(session, policy, summary)) is not None)
    clock = _TrainingClock()
    folder = Path(tempfile.mkdtemp(prefix="cranfield-"))
    made = fine_tune(run_id, settings, inputs, data_dir=folder, report=clock.report, is_canceled=lambda: False)
    return Trained(made.path, clock.seconds, made.gate_reason, made.gate_passed, summary.input_count)


def train_through_rpcs(
    channel: grpc.Channel,
    collection: Collection,
    ranking: list[list[int]],
    visits: list[Visit],
    settings: FineTuningSettings,
    run_id: str,
) -> Trained:
    """Trains as a backend and a scheduler do: register, push, release, start, watch.

    Raises:
        SystemExit: the run did not succeed.
    """
    clicks, batches, training = clickstream_stub(channel), batch_stub(channel), training_stub(channel)
    collecting = {visit.question: _session(collection, ranking, visit) for visit in visits}
    for visit in visits:
        session = collecting[visit.question]
        session.session_id = visit.session_id
        session.created_at.FromDatetime(visit.at)
        call(clicks.CreateSession, clickstream_service_pb2.CreateSessionRequest(session=session, historical=True))
        if visit.clicked:
            request = clickstream_service_pb2.PushEventsRequest(session_id=visit.session_id, historical=True)
            for k in visit.clicked:
                event = request.events.add(event_id=f"click-{k}", type="click")
                event.object_id = session.results[k].object_id
                event.created_at.FromDatetime(visit.at)
            call(clicks.PushEvents, request)
    release = batch_service_pb2.ReleaseBatchRequest(release_id=run_id)
    batch = call(batches.ReleaseBatch, release).batch
    start = training_service_pb2.StartTrainingRequest(run_id=run_id, batch_ids=[batch.batch_id])
    for name, value in asdict(settings).items():
        if value is not None:
            setattr(start.settings, name, value)
    call(training.StartTraining, start)

    clock = _TrainingClock()
    run = None
    for response in training.WatchTrainingRun(training_service_pb2.WatchTrainingRunRequest(run_id=run_id)):
        run = response.run
        if run.HasField("progress"):
            now = run.progress
            phase = progress_pb.TrainingProgress.Phase.Name(now.phase).removeprefix("PHASE_").lower()
            clock.record(phase, now.step, now.step_count, now.loss)
    if run is None or run.state != runs_pb.TRAINING_RUN_STATE_SUCCEEDED:
        raise SystemExit(f"run {run_id} did not succeed: {run.reason if run else 'no answer'}")
    made = run.model_version
    return Trained(made.path, clock.seconds, made.gate_reason, made.gate_passed, made.data.input_count)


def _session(collection: Collection, ranking: list[list[int]], visit: Visit) -> session_pb2.Session:
    session = session_pb2.Session(query=collection.questions[visit.question])
    for document in ranking[visit.question][:SHOWN]:
        session.results.add(object_id=str(document + 1)).meta.update(_meta(collection, document))
    return session


def _meta(collection: Collection, document: int) -> dict[str, str]:
    title, text = collection.documents[document]
    return {"title": title, "text": text}


class _TrainingClock:
    """Prints progress; `seconds` is how long the optimizer has worked so far."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began: float | None = None
        self._shown = -1

    def report(self, now: TrainingProgress) -> None:
        """Receives a progress report of the fine-tuning module."""
        self.record(now.phase.value, now.step, now.step_count, now.loss)

    def record(self, phase: str, step: int, step_count: int, loss: float) -> None:
        """Receives the values of a progress report."""
        if phase == "training":
            self._began = self._began or time.monotonic()
            self.seconds = time.monotonic() - self._began
            if step != self._shown:
                self._shown = step
                print(f"  step {step}/{step_count}, loss {loss:.3f}, {self.seconds:.0f} s", file=sys.stderr)


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Runs a server with an empty embedded MongoDB; yields its address, and removes its data at the end."""
    with tempfile.TemporaryDirectory(prefix="cranfield-") as folder:
        serve = ("-m", "clickstream", "serve", "--listen", "127.0.0.1:0", "--data-dir", folder)
        with server_process(None, *serve) as (address, _):
            yield address


def table(rows: list[Row], settings: FineTuningSettings, how: str) -> str:
    """The result as Markdown."""
    parts = list(rows[0].base)
    packages = ("torch", "transformers", "sentence-transformers", "numpy", "grpcio", "pymongo")
    lines = [
        "# Cranfield: from simulated clicks to judged relevance",
        "",
        f"Made by `benchmarks/cranfield.py`, {how}; `benchmarks/README.md` says what is simulated and measured.",
        "",
        f"nDCG@10 against the judgements (gain 2^grade - 1, all {DOCUMENTS:,} abstracts ranked), base → new:",
        "",
        "| correction, click seed | " + " | ".join(parts) + " | gate, on held-out clicks | training |",
        "|---|" + "---|" * (len(parts) + 2),
    ]
    for row in rows:
        cells = [f"{row.base[part]:.4f} → {row.new[part]:.4f}" for part in parts]
        gate = f"{'passed' if row.trained.gate_passed else 'not passed'}: {row.trained.gate_reason}"
        lines.append(f"| {row.name} | {' | '.join(cells)} | {gate} | {row.trained.seconds:.0f} s |")
    for correction in dict.fromkeys(row.correction for row in rows):
        same = [row for row in rows if row.correction == correction]
        cells = [f"{_mean(r.base[part] for r in same):.4f} → {_mean(r.new[part] for r in same):.4f}" for part in parts]
        if len(same) > 1:
            seconds = _mean(row.trained.seconds for row in same)
            lines.append(f"| **{correction}, mean of {len(same)}** | {' | '.join(cells)} | | {seconds:.0f} s |")
    shown = {name: value for name, value in asdict(settings).items() if name not in {"base_model", "position_bias"}}
    lines += [
        "",
        "Settings: " + ", ".join(f"{name} `{value}`" for name, value in shown.items()) + ".",
        "",
        machine_and_versions(*packages),
        "",
    ]
    return "\n".join(lines)


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def main() -> None:
    """Runs every click seed with every correction, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with cran.all.1400, cran.qry and cranqrel")
    parser.add_argument("--base-model", default=packaged_model())
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="seeds of the clicks")
    parser.add_argument("--corrections", nargs="+", default=["rank_ctr"])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other training settings")
    parser.add_argument("--address", help="a running server on this machine, instead of starting one")
    parser.add_argument("--offline", action="store_true", help="without a server: conversion and fine-tuning alone")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "cranfield.md")
    arguments = parser.parse_args()

    settings = FineTuningSettings(base_model=arguments.base_model, item_template=TEMPLATE, folds=1)
    for name, value in (change.split("=", 1) for change in arguments.set):
        settings = replace(settings, **{name: type(getattr(settings, name))(value)})
    collection = read_collection(arguments.data)
    ranking = rank_all(arguments.base_model, collection, settings.max_tokens)
    parts = question_parts(collection, settings)
    base = mean_ndcg_by_part(collection, ranking, parts)
    print("base", base, file=sys.stderr)

    rows = []
    with contextlib.ExitStack() as stack:
        channel = None
        if not arguments.offline:
            channel = stack.enter_context(grpc.insecure_channel(arguments.address or stack.enter_context(served())))
        for correction in arguments.corrections:
            for seed in arguments.seeds:
                chosen = replace(settings, position_bias=correction)
                visits = simulate_visits(collection, ranking, seed)
                run_id = f"cranfield-{correction}-{seed}-{int(time.time())}"
                visits = [replace(visit, session_id=f"{run_id}-{visit.session_id}") for visit in visits]
                if channel is None:
                    trained = train_offline(collection, ranking, visits, chosen, run_id)
                else:
                    trained = train_through_rpcs(channel, collection, ranking, visits, chosen, run_id)
                new = mean_ndcg_by_part(collection, rank_all(trained.path, collection, settings.max_tokens), parts)
                rows.append(Row(correction, seed, trained, base, new))
                print(rows[-1], file=sys.stderr)
                # Written after every row, so that a later failure costs no finished row.
                arguments.output.parent.mkdir(parents=True, exist_ok=True)
                how = "without a server" if channel is None else "through the RPCs of a server"
                arguments.output.write_text(table(rows, settings, how))
    print(arguments.output.read_text())


if __name__ == "__main__":
    main()
