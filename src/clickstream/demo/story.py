"""The demo from the first click to the better model, with a line on the console for each step."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from embedding_studio.clickstream.v1 import fine_tuning_settings_pb2 as settings_pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from clickstream.client.admin import AdminClient
from clickstream.client.calls import clickstream_stub
from clickstream.demo.catalogue import Item, make_catalogue
from clickstream.demo.comparison import RankingComparison, compare_rankings
from clickstream.demo.play import play
from clickstream.demo.report import show_comparison, show_evaluation
from clickstream.demo.shoppers import Rank, Shop, Visit, Want, make_wants
from clickstream.views.run_progress import follow, state_of


class DemoFailedError(Exception):
    """The training run failed or was canceled; the message says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many searches the shoppers make, and how the model trains. The defaults take a few minutes on two cores."""

    queries: int = 240
    visits_per_query: int = 30
    never_played: int = 60
    epochs: int = 7
    batch_queries: int = 16
    learning_rate: float = 1e-4
    max_tokens: int = 64


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The finished run, and the comparison of both models; None where this machine cannot read the new one."""

    run: runs_pb.TrainingRun
    comparison: RankingComparison | None


def run_demo(
    channel: grpc.Channel,
    console: Console,
    base_model: str,
    name: str,
    load: Callable[[str], Rank],
    plan: Plan = Plan(),
) -> DemoResult:
    """Plays, releases, trains, promotes and compares, through the RPCs of a running server.

    Args:
        channel: To the server.
        console: Where the lines go.
        base_model: Folder of the model that ranks for the shop and that is fine-tuned.
        name: Names sessions, release and run: 1 to 100 letters, digits, `_`, `-` or `.`, new for each demo.
        load: Model folder → ranking; `clickstream.demo.ranking.ranker`.
        plan: How many searches, and how to train.

    Raises:
        DemoFailedError: The training run failed or was canceled.
        grpc.RpcError: A call failed, and retries did not help.
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
    client = AdminClient(channel)
    batch = client.release_batch(name)
    console.print(f"Released {batch.batch_id} with {batch.session_count:,} sessions.")
    run = _train(client, console, name, batch.batch_id, base_model, plan)
    show_evaluation(run, console)
    if run.model_version.gate_passed:
        _promote(client, run, console)
    comparison = _compare(run, never_played, items, before, load, console)
    version = run.model_version
    console.print(f"The new model is in [bold]{version.path}[/]. SentenceTransformer(path) loads it.")
    return DemoResult(run, comparison)


def _play(visits: Sequence[Visit], channel: grpc.Channel, console: Console, name: str) -> None:
    stored: Counter[str] = Counter()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("playing searches", total=len(visits))
        for counts in play(visits, clickstream_stub(channel), name):
            stored.update(counts)
            progress.advance(task)
    kinds = Counter(kind for visit in visits for kind, _ in visit.acts)
    acts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    pages, idle = sum(visit.category_page for visit in visits), sum(not visit.acts for visit in visits)
    console.print(
        f"Stored {stored['sessions']:,} sessions and {stored['events']:,} events ({acts}). "
        f"{stored['irrelevant']:,} sessions are marked irrelevant (robots), {pages:,} are category pages, "
        f"{idle:,} ended without any act."
    )


def _train(
    client: AdminClient, console: Console, name: str, batch_id: str, base_model: str, plan: Plan
) -> runs_pb.TrainingRun:
    settings = settings_pb.FineTuningSettings(
        base_model=base_model,
        item_template="{title}. {text}",
        epochs=plan.epochs,
        batch_queries=plan.batch_queries,
        learning_rate=plan.learning_rate,
        max_tokens=plan.max_tokens,
        folds=1,  # the story in a third of the time
    )
    client.start_training(name, [batch_id], settings)
    run = follow(client.watch_training(name), console)
    if run.state != runs_pb.TRAINING_RUN_STATE_SUCCEEDED:
        raise DemoFailedError(f"the training run {run.run_id} is {state_of(run)}: {run.reason}")
    return run


def _promote(client: AdminClient, run: runs_pb.TrainingRun, console: Console) -> None:
    """Makes the new version serve. The demo has no index that must be ready before."""
    version_id = run.model_version.model_version_id
    with console.status("the trainer loads the new model"):
        client.promote(version_id, run.run_id, reason="the demo")
    console.print(f"Promoted [bold]{version_id}[/]: Embed answers with it from now on.")


def _compare(
    run: runs_pb.TrainingRun,
    wants: Sequence[Want],
    items: Sequence[Item],
    before: Rank,
    load: Callable[[str], Rank],
    console: Console,
) -> RankingComparison | None:
    if not Path(run.model_version.path).is_dir():
        console.print("The new model is on the training machine, so it is not compared here.")
        return None
    with console.status("both models rank searches that no shopper made"):
        comparison = compare_rankings(wants, items, before, load(run.model_version.path))
    show_comparison(comparison, console)
    return comparison
