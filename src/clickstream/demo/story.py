"""The demo from the first click to the better model, told on the console while it happens."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2 as batches
from embedding_studio.clickstream.v1 import fine_tuning_settings_pb2 as settings_pb
from embedding_studio.clickstream.v1 import model_service_pb2 as models
from embedding_studio.clickstream.v1 import training_progress_pb2 as progress_pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from clickstream.client.admin import watch_training
from clickstream.client.calls import batch_stub, call, clickstream_stub, model_stub, training_stub
from clickstream.demo.catalogue import Item, make_catalogue
from clickstream.demo.comparison import Comparison, compare
from clickstream.demo.play import play
from clickstream.demo.report import show_comparison, show_evaluation
from clickstream.demo.shoppers import Rank, Shop, Visit, Want, make_wants
from clickstream.views.run_progress import doing, state_of

LOAD_SECONDS = 120.0
"""How long the trainer may take to load the new model."""


class DemoFailedError(Exception):
    """The story ended early; the message says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is played and trained. The defaults take a few minutes on two cores."""

    queries: int = 240
    visits_per_query: int = 30
    never_played: int = 60
    epochs: int = 7
    batch_queries: int = 16
    learning_rate: float = 1e-4
    max_tokens: int = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out: the finished run, and the comparison where the model could be read from here."""

    run: runs_pb.TrainingRun
    comparison: Comparison | None


def run_demo(
    channel: grpc.Channel,
    console: Console,
    base_model: str,
    name: str,
    load: Callable[[str], Rank],
    plan: Plan = Plan(),
) -> Outcome:
    """Plays, releases, trains, promotes and compares, through the RPCs of a running server.

    Args:
        channel: To the server; its four services.
        console: Where the story is told.
        base_model: Folder of the model that ranks for the shop and that is fine-tuned.
        name: Names sessions, release and run: 1 to 100 letters, digits, `_`, `-` or `.`, new for each demo.
        load: Model folder → ranking; `clickstream.demo.ranking.ranker`.
        plan: How much.

    Raises:
        DemoFailedError: The training run did not end well.
        grpc.RpcError: A call failed and retries did not help.
    """
    items = make_catalogue()
    wants = make_wants(items, plan.queries + plan.never_played)
    played, never_played = wants[: plan.queries], wants[plan.queries :]
    console.print(
        f"A shop of {len(items)} items, {len(played)} different searches, {plan.visits_per_query} visits each. "
        "Its customers say [bold]velkor[/] for a rain jacket and [bold]zunny[/] for ultralight; no item text does."
    )
    with console.status("the base model ranks for the shop's current search"):
        before = load(base_model)
        visits = list(Shop(items, played, before).visits(plan.visits_per_query))
    _play(visits, channel, console, name)
    batch = _release(channel, console, name)
    run = _train(channel, console, name, batch, base_model, plan)
    show_evaluation(run, console)
    if run.model_version.gate_passed:
        _promote(run, channel, console)
    comparison = _compare(run, never_played, items, before, load, console)
    version = run.model_version
    console.print(f"The new model lies in [bold]{version.path}[/]. It loads with SentenceTransformer(path).")
    return Outcome(run, comparison)


def _play(visits: Sequence[Visit], channel: grpc.Channel, console: Console, name: str) -> None:
    stored: Counter[str] = Counter()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("playing searches", total=len(visits))
        for counts in play(visits, clickstream_stub(channel), name):
            stored.update(counts)
            progress.advance(task)
    kinds = Counter(kind for visit in visits for kind, _ in visit.acts)
    told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    pages, idle = sum(visit.category_page for visit in visits), sum(not visit.acts for visit in visits)
    console.print(
        f"Stored {stored['sessions']:,} sessions and {stored['events']:,} events ({told}). "
        f"{stored['irrelevant']:,} sessions are marked irrelevant (robots), {pages:,} are category pages, "
        f"{idle:,} ended without any act."
    )


def _release(channel: grpc.Channel, console: Console, name: str) -> str:
    batch = call(batch_stub(channel).ReleaseBatch, batches.ReleaseBatchRequest(release_id=name)).batch
    console.print(f"Released batch {batch.batch_id} with {batch.session_count:,} sessions.")
    return str(batch.batch_id)


def _train(
    channel: grpc.Channel, console: Console, name: str, batch: str, base_model: str, plan: Plan
) -> runs_pb.TrainingRun:
    stub = training_stub(channel)
    settings = settings_pb.FineTuningSettings(
        base_model=base_model,
        item_template="{title}. {text}",
        epochs=plan.epochs,
        batch_queries=plan.batch_queries,
        learning_rate=plan.learning_rate,
        max_tokens=plan.max_tokens,
    )
    request = training.StartTrainingRequest(run_id=name, batch_ids=[batch], settings=settings)
    run: runs_pb.TrainingRun = call(stub.StartTraining, request).run
    fields = TextColumn("{task.fields[loss]}"), TextColumn("{task.fields[left]}")
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *fields
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("queued", total=None, loss="", left="")
        for latest in watch_training(stub, name):
            run, now = latest, latest.progress
            trains = now.phase == progress_pb.TrainingProgress.PHASE_TRAINING
            progress.update(
                task,
                description=doing(latest),
                total=now.step_count or None,
                completed=now.step,
                loss=f"loss {now.loss:.3f}" if trains and now.step else "",
                left=f"{now.remaining_seconds:.0f} s left" if trains and now.step else "",
            )
    if run.state != runs_pb.TRAINING_RUN_STATE_SUCCEEDED:
        raise DemoFailedError(f"the training run {run.run_id} is {state_of(run)}: {run.reason}")
    return run


def _promote(run: runs_pb.TrainingRun, channel: grpc.Channel, console: Console) -> None:
    """Makes the new version serve: the demo has no index that would have to be ready before."""
    version_id = run.model_version.model_version_id
    request = models.PromoteModelRequest(model_version_id=version_id, request_id=run.run_id, reason="the demo")
    with console.status("the trainer loads the new model"):
        call(model_stub(channel).PromoteModel, request, LOAD_SECONDS)
    console.print(f"Promoted [bold]{version_id}[/]: Embed answers with it from now on.")


def _compare(
    run: runs_pb.TrainingRun,
    wants: Sequence[Want],
    items: Sequence[Item],
    before: Rank,
    load: Callable[[str], Rank],
    console: Console,
) -> Comparison | None:
    if not Path(run.model_version.path).is_dir():
        console.print("The model lies on the training machine; it is not compared from here.")
        return None
    with console.status("both models rank searches that nobody typed"):
        comparison = compare(wants, items, before, load(run.model_version.path))
    show_comparison(comparison, console)
    return comparison
