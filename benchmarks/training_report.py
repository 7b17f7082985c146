"""The table of the training benchmark, from its finished cells."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import header, write_table
from numpy.typing import NDArray

Cell = dict[str, Any]
RESAMPLES = 2_000
COLUMNS = ["world, eta, noise, sessions per query", "row", "searched", "share of the oracle's gain", "never searched",
           "share of the oracle's gain", "against raw clicks", "gate: promoted, of them worse"]  # fmt: skip


def report(cells: Sequence[Cell], base: str, raw: str, oracle: str, settings: dict[str, Any], output: Path) -> None:
    """Writes the table of everything that was run."""
    settings_of = defaultdict(list)
    for cell in cells:
        settings_of[cell["world"], cell["eta"], cell["noise"], cell["sessions"]].append(cell)
    lines = []
    for (world, eta, noise, sessions), members in sorted(settings_of.items()):
        rows = _rows(members)
        title = f"{world}, {eta:g}, {noise:g}, {sessions}"
        some = next(iter(rows.values()))
        lines.append([title, base, _mean(some["searched"][:, 0]), "", _mean(some["never"][:, 0]), "", "", ""])
        for name, row in rows.items():
            shares = [_share(row[part], rows[oracle][part]) if oracle in rows else "" for part in ("searched", "never")]
            against = _against(row, rows[raw]) if raw in rows and name not in (raw, oracle) else ""
            cells_of = [_mean(row["searched"][:, 1]), shares[0], _mean(row["never"][:, 1]), shares[1]]
            lines.append([title, f"{name} ({row['runs']})", *cells_of, against, row["gate"]])
    write_table(output, "Learning from biased clicks", _text(cells, settings), COLUMNS, lines)


def _rows(members: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    """By row: per query [base, new] as means over seeds (and folds, in which a query is searched)."""
    rows: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(cell["row"] for cell in members):
        of_row = [cell for cell in members if cell["row"] == name]
        parts = {"searched": _by_query(of_row, lambda searched, q: q in searched),
                 "never": _by_query(of_row, lambda searched, q: q not in searched)}  # fmt: skip
        promoted = [cell for cell in of_row if cell.get("promoted")]
        worse = sum(_is_worse(np.array(cell["ndcg"]) - np.array(cell["base"])) for cell in promoted)
        judged = f"{len(promoted)} of {len(of_row)}, {worse}" if "promoted" in of_row[0] else ""
        rows[name] = {**parts, "runs": len(of_row), "gate": judged}
    return rows


def _by_query(cells: Sequence[Cell], belongs: Callable[[set[int], int], bool]) -> NDArray[np.float64]:
    pairs: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for cell in cells:
        searched = set(cell["searched"])
        for query, (before, after) in enumerate(zip(cell["base"], cell["ndcg"], strict=True)):
            if belongs(searched, query):
                pairs[query].append((before, after))
    return np.array([np.mean(values, axis=0) for _, values in sorted(pairs.items())])


def _mean(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.4f}"


def _resampled(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(1).integers(0, count, (RESAMPLES, count))


def _share(row: NDArray[np.float64], oracle: NDArray[np.float64]) -> str:
    """The gain over the base as a share of the oracle's; 95 % bootstrap interval over queries."""
    if len(row) != len(oracle):
        return "other folds"
    gains, best = row[:, 1] - row[:, 0], oracle[:, 1] - oracle[:, 0]
    draws = _resampled(len(gains))
    bests = best[draws].mean(axis=1)
    if np.quantile(bests, 0.025) <= 0:
        return f"{gains.mean():+.4f} of {best.mean():+.4f}, which is noise"
    low, high = np.quantile(gains[draws].mean(axis=1) / bests, [0.025, 0.975])
    return f"{gains.mean() / best.mean():.0%} ({low:.0%} to {high:.0%}) of {best.mean():+.4f}"


def _against(row: dict[str, Any], raw: dict[str, Any]) -> str:
    """The difference in nDCG@10, searched and never searched."""
    said = []
    for part in ("searched", "never"):
        if len(row[part]) != len(raw[part]):
            return "other folds"
        differences = row[part][:, 1] - raw[part][:, 1]
        low, high = np.quantile(differences[_resampled(len(differences))].mean(axis=1), [0.025, 0.975])
        said.append(f"{differences.mean():+.4f} ({low:+.4f} to {high:+.4f})")
    return "; ".join(said)


def _is_worse(differences: NDArray[np.float64]) -> bool:
    return bool(np.quantile(differences[_resampled(len(differences))].mean(axis=1), 0.975) < 0)


def _text(cells: Sequence[Cell], settings: dict[str, Any]) -> str:
    shown = ", ".join(
        f"{name} `{value}`" for name, value in settings.items() if name not in {"base_model", "position_bias"}
    )
    seconds = np.mean([cell["seconds"] for cell in cells])
    return f"""nDCG@10 against the true grades. In brackets behind a row: models trained. Shares and differences are \
means over the queries of all folds and seeds, with 95 % bootstrap intervals over queries. Only these \
{len(cells)} cells of the grid were run, {seconds:.0f} s each on one core. Made by `benchmarks/training.py`.

Settings of all rows but raw clicks: {shown}. Raw clicks: one epoch over at most 4,000 clicked pairs, 32 at a time.

{header("torch", "transformers", "sentence-transformers", "numpy")}"""
