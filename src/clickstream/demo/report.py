"""Prints the demo's results."""

from collections.abc import Sequence

from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from rich.console import Console
from rich.table import Table

from clickstream.demo.catalogue import PLAIN, Item
from clickstream.demo.comparison import RankingComparison
from clickstream.demo.shoppers import Want, relevance

# Searches shown side by side, and results of each.
SEARCHES = 3
RESULTS = 5


def show_evaluation(run: runs_pb.TrainingRun, console: Console) -> None:
    """Prints the run's own numbers: held-out searches, judged by their clicks."""
    version = run.model_version
    evaluation, data = version.evaluation, version.data
    table = Table(title="Judged by clicks that did not train", title_justify="left")
    answers = [(f"{data.held_out_queries} searches never made", evaluation.base, evaluation.new)]
    if evaluation.HasField("repeated"):
        repeated = evaluation.repeated
        answers.append((f"{repeated.query_count} repeated searches", repeated.base, repeated.new))
    for column in ("", "", "before", "after"):
        table.add_column(column, justify="right" if column else "left")
    for answer, base, new in answers:
        for name, metric in (("nDCG@10", "ndcg_at_10"), ("MRR@10", "mrr_at_10"), ("Recall@10", "recall_at_10")):
            table.add_row(answer, name, f"{getattr(base, metric):.3f}", f"{getattr(new, metric):.3f}")
            answer = ""
    console.print(table)
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in sorted(run.conversion.skipped_sessions.items()))
    console.print(
        f"Trained on {data.training_queries} queries and {data.items} items from {data.input_count:,} sessions; "
        f"left out: {skipped or 'none'}."
    )
    console.print(f"{'Passed' if version.gate_passed else 'Did not pass'} its gate: {version.gate_reason}.")


def show_comparison(comparison: RankingComparison, console: Console) -> None:
    """Prints nDCG@10 by the simulation's truth on searches that were never played, and some of them side by side."""
    console.print(
        f"{len(comparison.wants)} searches that no shopper made, judged by what their shoppers would want: "
        f"nDCG@10 [bold]{comparison.ndcg_before:.3f}[/] before, [bold]{comparison.ndcg_after:.3f}[/] after."
    )
    for place in examples(comparison.wants):
        want = comparison.wants[place]
        meaning = ", ".join(f"{word} = {PLAIN[word]}" for word in want.query.split() if word in PLAIN)
        table = Table(title=f"[bold]{want.query}[/] ({meaning})", title_justify="left")
        table.add_column("before")
        table.add_column("after")
        for old, new in zip(comparison.before[place][:RESULTS], comparison.after[place][:RESULTS], strict=True):
            table.add_row(_line(want, old), _line(want, new))
        console.print(table)
    console.print("Stars: how well the item answers the search, of three.")


def examples(wants: Sequence[Want]) -> list[int]:
    """Indices of the first `SEARCHES` searches of two words or more that are all slang, whatever was measured."""
    slang = [
        place
        for place, want in enumerate(wants)
        if len(want.query.split()) > 1 and all(word in PLAIN for word in want.query.split())
    ]
    return slang[:SEARCHES]


def _line(want: Want, item: Item) -> str:
    return f"{'★' * relevance(want, item):3} {item.title} ({item.text.rstrip('.').split('. ')[-1]})"


def show_commands(address: str, run: runs_pb.TrainingRun, console: Console) -> None:
    """Prints commands to try on the server, which keeps running."""
    package = "embedding_studio.clickstream.v1"
    lines = [
        f"clickstream models --address {address}",
        f"grpcurl -plaintext {address} list",
        f"grpcurl -plaintext {address} {package}.BatchService/ListBatches",
        f'grpcurl -plaintext -d \'{{"batch_id": "{run.batch_ids[0]}", "page_size": 1}}\' '
        f"{address} {package}.BatchService/GetBatchSessions",
        f'grpcurl -plaintext -d \'{{"run_id": "{run.run_id}"}}\' {address} {package}.TrainingService/GetTrainingRun',
    ]
    console.print(f"The server runs on {address} until Ctrl-C. To try:")
    for line in lines:
        console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
