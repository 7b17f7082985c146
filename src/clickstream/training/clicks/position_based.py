"""The position-based click model, learned by EM from the log itself."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from clickstream.training.clicks.click_log import Cell, ClickLog, LoggedSession
from clickstream.training.clicks.labels import PRIOR_LOOKS, ClickModel, Label, Labels, gain_of, item_totals, log_totals

# Levels of attraction, like the grades of judges: each item of a query has one of them.
LEVELS = 5

# Pseudo-items at the log's mean mix of levels, added to each group of positions.
PSEUDO_ITEMS = 10.0

# EM starts at each of these, and the likelier result is taken: lists that never change have several optima.
FIRST_DECAYS = (1.0, 2.0)

# EM runs for more than the first number of rounds and at most the second, until the decay moves less than the third.
MIN_ROUNDS = 30
MAX_ROUNDS = 200
TOLERANCE = 1e-4

MAX_DECAY = 3.0

# The largest share of a query's sessions that may count as having no act.
MAX_IDLE_SHARE = 0.98

Array = NDArray[np.float64]


class Attention(NamedTuple):
    """How attention falls, P(examined at k) = (k + 1)^-decay, and the mean attraction of each item of a query.

    `sessions` is the estimated number of sessions of a query, with those that are missing from the log.
    """

    decay: float
    attraction: dict[str, dict[int, float]]
    sessions: dict[str, float]

    def examined(self, position: int) -> float:
        """The probability that a position, counted from 0, is examined; 1 at the top."""
        return float((position + 1) ** -self.decay)


class _Table(NamedTuple):
    """The log as columns."""

    queries: list[str]
    # Index into `queries`, and id, of each item of each query.
    items: list[tuple[int, int]]
    # One row per cell: indices into `queries` and `items`, log(position + 1), and counts.
    query: NDArray[np.int64]
    item: NDArray[np.int64]
    rank: Array
    impressions: Array
    acts: Array
    # One row per item: its group of positions.
    group: NDArray[np.int64]
    # One row per query: its sessions in the log, and those of them with an act.
    logged: Array
    with_act: Array


def learn_attention(log: ClickLog) -> Attention:
    """Learns by expectation maximisation (EM) how attention falls with the position and how attractive each item is.

        P(act on d at k for q) = (k + 1)^-decay * attraction(q, d)

    Where a query always shows the same list, examination and attraction of its items are only known as
    their product. What tells them apart is what all queries have in common: an item's attraction is one of
    `LEVELS` levels, the same for all queries and positions, while their mix may differ from position to
    position (the ranking that made the lists puts better items higher). The same level then gets fewer acts
    further down, and that is attention. The power law has one number to learn; a free curve would have one
    per position, for which such logs have too few acts.

    Sessions without an act may be missing from the log, all of them or some: without events a session gives no
    training input. The missing ones are counted in for each query, as EM does for truncated data: there were
    (sessions with an act) / (1 - P(no act)) sessions, and at least as many as the log has.

    Source: the position-based model and its EM in Chuklin, Markov and de Rijke, "Click Models for Web
    Search", 2015, sections 3.3 and 4.3; the power law of Joachims, Swaminathan and Schnabel, "Unbiased
    learning-to-rank with biased feedback", WSDM 2017; attraction from what is shared by queries as in Wang
    et al., "Position bias estimation for unbiased learning to rank in personal search", WSDM 2018, here by
    a mixture; truncated data in Dempster, Laird and Rubin, "Maximum likelihood from incomplete data
    via the EM algorithm", JRSS B 1977, section 4.2.
    """
    if not log.cells:
        return Attention(0.0, {}, {})
    table = _table(log)
    fit = max((_fit(table, decay) for decay in FIRST_DECAYS), key=lambda each: each.likelihood)
    attraction: dict[str, dict[int, float]] = {query: {} for query in table.queries}
    for (query, item), mean in zip(table.items, fit.attraction.tolist(), strict=True):
        attraction[table.queries[query]][item] = mean
    return Attention(fit.decay, attraction, dict(zip(table.queries, fit.sessions.tolist(), strict=True)))


class _Fit(NamedTuple):
    """Where EM ended: decay, attraction of each item, sessions of each query, and the log's log-likelihood."""

    decay: float
    attraction: Array
    sessions: Array
    likelihood: float


def _fit(table: _Table, decay: float) -> _Fit:
    """Runs EM from a first decay."""
    levels = np.geomspace(0.04, 0.9, LEVELS)
    mix = np.full((int(table.group.max()) + 1, LEVELS), 1 / LEVELS)
    shown = table.impressions
    for done in range(MAX_ROUNDS):
        examined = np.exp(-decay * table.rank)
        shares, likelihood = _levels_of_items(table, shown, examined, levels, mix)
        idle = _idle_shares(table, examined * (shares @ levels)[table.item])
        sessions = np.maximum(table.logged, table.with_act / (1 - idle))
        shown = table.impressions * (sessions / table.logged)[table.query]
        weights = shares[table.item]
        looks = (weights * (shown * examined)[:, None]).sum(axis=0)
        levels = np.clip((weights * table.acts[:, None]).sum(axis=0) / np.maximum(looks, 1e-9), 1e-3, 1.0)
        before, decay = decay, _decay(table, shown * (weights @ levels), decay)
        mean_mix = shares.mean(axis=0)
        for group in range(len(mix)):
            members = shares[table.group == group]
            mix[group] = (members.sum(axis=0) + PSEUDO_ITEMS * mean_mix) / (len(members) + PSEUDO_ITEMS)
        if done > MIN_ROUNDS and abs(decay - before) < TOLERANCE:
            break
    # The likelihood is that of the log: without the missing sessions, and given that those with an act have one.
    missing = (sessions - table.logged) @ np.log(np.maximum(idle, 1e-9))
    likelihood -= float(missing + table.with_act @ np.log1p(-idle))
    return _Fit(decay, shares @ levels, sessions, likelihood)


def _table(log: ClickLog) -> _Table:
    queries = list(log.cells)
    items: list[tuple[int, int]] = []
    means: list[float] = []
    rows: list[tuple[int, int, int, int, int]] = []
    for number, query in enumerate(queries):
        for item, cells in log.cells[query].items():
            rows += [(number, len(items), k, cell.impressions, cell.acts) for k, cell in cells.items()]
            items.append((number, item))
            means.append(_mean_position(list(cells.items())))
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5)
    # Groups of about equal ratio: 0, 1, 2, 3-4, 5-7, 8-11, …
    groups = np.floor(1.5 * np.log2(np.array(means) + 1)).astype(np.int64)
    return _Table(
        queries,
        items,
        columns[:, 0],
        columns[:, 1],
        np.log(columns[:, 2] + 1.0),
        columns[:, 3].astype(np.float64),
        columns[:, 4].astype(np.float64),
        groups,
        np.array([float(log.sessions[query]) for query in queries]),
        np.array([float(log.sessions_with_act[query]) for query in queries]),
    )


def _mean_position(cells: Sequence[tuple[int, Cell]]) -> float:
    return sum(k * cell.impressions for k, cell in cells) / sum(cell.impressions for _, cell in cells)


def _levels_of_items(table: _Table, shown: Array, examined: Array, levels: Array, mix: Array) -> tuple[Array, float]:
    """E step: how likely each item has each level, [items, LEVELS], each row summing to 1; and the log-likelihood."""
    chance = np.clip(examined[:, None] * levels, 1e-9, 1 - 1e-6)
    passed = np.maximum(shown - table.acts, 0.0)
    cells = table.acts[:, None] * np.log(chance) + passed[:, None] * np.log1p(-chance)
    logs = np.log(mix)[table.group]
    np.add.at(logs, table.item, cells)
    of_items: Array = np.logaddexp.reduce(logs, axis=1, keepdims=True)
    return np.exp(logs - of_items), float(of_items.sum())


def _idle_shares(table: _Table, chance: Array) -> Array:
    """The share of each query's sessions without an act, logged or missing; [queries]."""
    per_session = table.impressions / table.logged[table.query]
    nothing = np.bincount(table.query, per_session * np.log1p(-np.minimum(chance, 0.999)), len(table.logged))
    return np.minimum(np.exp(nothing), MAX_IDLE_SHARE)


def _decay(table: _Table, expected: Array, decay: float) -> float:
    """M step by Newton's method: acts are Poisson with mean `expected` * (k + 1)^-decay."""
    for _ in range(3):
        mean = expected * np.exp(-decay * table.rank)
        slope = float((table.rank * (mean - table.acts)).sum())
        curve = float((table.rank**2 * mean).sum())
        if curve <= 0:
            break
        decay = min(max(decay + slope / curve, 0.0), MAX_DECAY)
    return decay


class PositionBased(ClickModel):
    """The position-based model: an act needs that the position is examined and that the item attracts.

        looks(q, d)  = sum over the showings of d for q of P(examined at its position)
        target(q, d) = sum of grades(q, d) / (looks(q, d) + PRIOR_LOOKS)
        gain(q, d)   = min(ratio, MAX_RATIO) - 1, at least 0, with ratio = grades per look over that of the log

    `learn_attention` learns P(examined), and names its assumptions and sources. The prior bounds how much one act can
    count (clipped inverse propensity).
    """

    def __init__(self, log: ClickLog) -> None:
        self._log = log
        self._all = log_totals(log)
        self.attention = learn_attention(log)

    def _looks(self, query: str, cells: Mapping[int, Cell]) -> float:
        per_logged = self.attention.sessions[query] / self._log.sessions[query]
        return per_logged * sum(cell.impressions * self.attention.examined(k) for k, cell in cells.items())

    @override
    def labels(self) -> Labels:
        looks = {
            query: {item: self._looks(query, cells) for item, cells in items.items()}
            for query, items in self._log.cells.items()
        }
        mean = self._all.grades / max(sum(sum(items.values()) for items in looks.values()), 1e-9)
        labels: Labels = {}
        for query, items in self._log.cells.items():
            labels[query] = {}
            for item, cells in items.items():
                total, seen = item_totals(cells), looks[query][item]
                labels[query][item] = Label(
                    target=total.grades / (seen + PRIOR_LOOKS),
                    gain=gain_of(total.grades, seen * mean),
                    acts=total.grades / self._all.mean_grade,
                    looks=seen,
                )
        return labels

    @override
    def predict(self, session: LoggedSession) -> list[float]:
        attraction = self.attention.attraction.get(session.query, {})
        return [
            self.attention.examined(showing.position) * attraction.get(showing.item, self._all.act_rate)
            for showing in session.shown
        ]
