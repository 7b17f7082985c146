"""The table of the training benchmark, from its finished cells."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import machine_and_versions, write_table
from numpy.typing import NDArray

from clickstream.training.clicks.corrections import CORRECTIONS

Cell = dict[str, Any]
# Per query nDCG@10 of the base and the new model, [Q, 2].
Scores = NDArray[np.float64]
RESAMPLES = 2_000
COLUMNS = [
    "world, eta, noise, sessions per query",
    *("row", "searched", "share of the oracle's gain", "never searched", "share of the oracle's gain"),
    *("against raw clicks at 2e-4: searched; never searched", "gate: passed, of them worse", "`auto` takes it"),
]

PARTS = ("searched", "never")


def report(cells: Sequence[Cell], base: str, raw: str, oracle: str, settings: dict[str, Any], output: Path) -> None:
    """Writes the table of all finished cells; `base`, `raw` and `oracle` are the names of these rows."""
    settings_of = defaultdict(list)
    for cell in cells:
        settings_of[cell["world"], cell["eta"], cell["noise"], cell["sessions"]].append(cell)
    lines = []
    for (world, eta, noise, sessions), members in sorted(settings_of.items()):
        rows = {name: [cell for cell in members if cell["row"] == name] for name in {cell["row"] for cell in members}}
        title = f"{world}, {eta:g}, {noise:g}, {sessions}"
        means = [_scores(members, part)[:, 0] for part in PARTS]
        lines.append([title, base, _mean(means[0]), "", _mean(means[1]), "", "", "", ""])
        for name, row in sorted(rows.items(), key=lambda item: -_scores(item[1], "searched")[:, 1].mean()):
            shares = [_share(*_paired(row, rows.get(oracle, []), part)) for part in PARTS]
            against = [_difference(*_paired(row, rows.get(raw, []), part)) for part in PARTS]
            means = [_scores(row, part)[:, 1] for part in PARTS]
            figures = [_mean(means[0]), shares[0], _mean(means[1]), shares[1]]
            compared = "; ".join(against) if name not in (raw, oracle) and all(against) else ""
            lines.append([title, f"{name} ({len(row)})", *figures, compared, _gate(row), _auto(row, rows)])
    write_table(output, "Learning from biased clicks", _text(cells, settings), COLUMNS, lines)


def _paired(row: Sequence[Cell], other: Sequence[Cell], part: str) -> tuple[Scores, Scores]:
    """The scores of both rows, restricted to the seeds and folds that both have."""
    common = {(cell["seed"], cell["fold"]) for cell in row} & {(cell["seed"], cell["fold"]) for cell in other}
    one, two = ([cell for cell in cells if (cell["seed"], cell["fold"]) in common] for cells in (row, other))
    return _scores(one, part), _scores(two, part)


def _scores(cells: Sequence[Cell], part: str) -> Scores:
    """Per query [base, new], means over the models for which the query belongs to this part, [Q, 2]."""
    pairs: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for cell in cells:
        searched = set(cell["searched"])
        for query, (before, after) in enumerate(zip(cell["base"], cell["ndcg"], strict=True)):
            if (query in searched) == (part == "searched"):
                pairs[query].append((before, after))
    return np.array([np.mean(values, axis=0) for _, values in sorted(pairs.items())]).reshape(-1, 2)


def _gate(row: Sequence[Cell]) -> str:
    """How many models passed the gate, and how many of these are truly worse than the base beyond noise."""
    if "gate_passed" not in row[0]:
        return ""
    passed = [np.array(cell["ndcg"]) - np.array(cell["base"]) for cell in row if cell["gate_passed"]]
    return f"{len(passed)} of {len(row)}, {sum(_interval(gains)[1] < 0 for gains in passed)}"


def _auto(row: Sequence[Cell], rows: dict[str, list[Cell]]) -> str:
    """In how many of the logs `auto` takes the correction of this row; the cells of `pbm` record what it takes."""
    choices = [cell["auto"] for cell in rows.get("pbm", [])]
    return f"{choices.count(row[0]['row'])} of {len(choices)}" if choices and row[0]["row"] in CORRECTIONS else ""


def _mean(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.4f}"


def _draws(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(1).integers(0, count, (RESAMPLES, count))


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values[_draws(len(values))].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _share(row: Scores, oracle: Scores) -> str:
    """The gain over the base as a share of the oracle's; 95 % bootstrap interval over queries."""
    if not len(row):
        return ""
    gains, best = row[:, 1] - row[:, 0], oracle[:, 1] - oracle[:, 0]
    if _interval(best)[0] <= 0:
        return f"{gains.mean():+.4f} of {best.mean():+.4f}, which is noise"
    draws = _draws(len(gains))
    low, high = np.quantile(gains[draws].mean(axis=1) / best[draws].mean(axis=1), [0.025, 0.975])
    return f"{gains.mean() / best.mean():.0%} ({low:.0%} to {high:.0%}) of {best.mean():+.4f}"


def _difference(row: Scores, raw: Scores) -> str:
    if not len(row):
        return ""
    differences = row[:, 1] - raw[:, 1]
    low, high = _interval(differences)
    return f"{differences.mean():+.4f} ({low:+.4f} to {high:+.4f})"


def _text(cells: Sequence[Cell], settings: dict[str, Any]) -> str:
    shown = ", ".join(
        f"{name} `{value}`" for name, value in settings.items() if name not in {"base_model", "position_bias"}
    )
    seconds = np.median([cell["seconds"] for cell in cells])  # the median, as some cells were paused for others
    count = len({cell["seconds"] for cell in cells})  # the oracle's cells stand in several settings
    return f"""nDCG@10 against the true grades. In brackets behind a row: models trained. Shares and differences are \
means over the queries of all folds and seeds, with 95 % bootstrap intervals over queries. Only these \
{count} cells of the grid were run, {seconds:.0f} s on one core in the median; the oracle, which no click changes, \
once for all eta and noise. Made by `benchmarks/training.py`.

Settings of all rows but raw clicks: {shown}. Raw clicks: one epoch over at most 8,000 clicked pairs, 32 at a time, \
at the trainer's default rate of 5e-5 or at 2e-4; the others are compared with the latter. The best guess is no model: \
see `best_guess` in `benchmarks/training_worlds.py`.

{machine_and_versions("torch", "transformers", "sentence-transformers", "numpy")}"""
