"""The sums of one EM round of the position-based model, over blocks of a log that fit into a processor's cache."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from clickstream.training.clicks.click_log import Counts, Floats, Ints

# Levels of attraction, like the grades of judges: each item of a query has one of them.
LEVELS = 5

# The largest share of a query's sessions that may count as having no act.
MAX_IDLE_SHARE = 0.98

# Cells of a block, about: a block has whole queries.
BLOCK_CELLS = 16_384


class RoundSums(NamedTuple):
    """What a block adds to a round, and what it found for its own queries and items.

    `looked` [P, LEVELS] are showings at each position by level, with those of missing sessions; `of_groups` [G, LEVELS]
    is how many items of each group have each level; `acted` [LEVELS] are acts by level. `shares` [N, LEVELS] is how
    likely each item has each level, `per_logged` [Q] the estimated sessions of each query per logged session.
    `likelihood` is the log-likelihood of the block.
    """

    looked: Floats
    of_groups: Floats
    acted: Floats
    shares: Floats
    per_logged: Floats
    likelihood: float


class Block:
    """Some queries of a log: Q queries with N items in C cells, whose indices all starts of EM share.

    Everything that a round sums is a product with one sparse matrix, [N, 2P + G]: a row has its item's impressions at
    each position, in sessions with those that are missing, then its acts at each position, then its group.
    """

    def __init__(self, log: Counts, cells: slice, group: Ints, groups: int) -> None:
        columns = log.cells
        place, positions = log.positions[1][cells], len(log.positions[0])
        pair = log.pair_of_cell[cells]
        first_pair, self._pair = pair[0], pair - pair[0]
        pairs = int(self._pair[-1]) + 1
        self._place, self._impressions = place, columns.impressions[cells]
        queries, self._first_cells = np.unique(columns.query[cells], return_index=True)
        self._query = np.repeat(np.arange(len(queries)), np.diff(np.append(self._first_cells, len(place))))
        self._logged, self._with_act = log.sessions[queries], log.sessions_with_act[queries]
        self._per_session = self._impressions / self._logged[self._query]
        self.query_of_pair = self._query[np.flatnonzero(np.diff(self._pair, prepend=-1))]
        self._acts = log.pairs.acts[first_pair : first_pair + pairs]
        groups_of = group[first_pair : first_pair + pairs]
        self.group_sizes = np.bincount(groups_of, minlength=groups)
        self.queries, self._positions = len(queries), positions
        acted = np.flatnonzero(columns.acts[cells])
        row = np.concatenate([self._pair, self._pair[acted], np.arange(pairs)])
        column = np.concatenate([place, positions + place[acted], 2 * positions + groups_of])
        value = np.concatenate([self._impressions, columns.acts[cells][acted], np.ones(pairs)])
        order = np.argsort(row, kind="stable")
        bounds = np.append(0, np.cumsum(np.bincount(row, minlength=pairs)))
        self._matrix = csr_array((value[order], column[order], bounds), shape=(pairs, 2 * positions + groups))
        # Where the matrix has the impressions of each cell.
        self._slots = np.empty(len(row), np.int64)
        self._slots[order] = np.arange(len(row))
        self._slots = self._slots[: len(place)]

    def start(self) -> None:
        """Begins anew: without missing sessions."""
        self._matrix.data[self._slots] = self._impressions

    def round(self, logs: Floats, examined: Floats, levels: Floats) -> RoundSums:
        """Computes the block's part of a round.

        Args:
            logs: log P(no act) by position and level, log(P(act) / P(no act)), and the log of the groups' mixes of
                levels; [2P + G, LEVELS].
            examined: P(examined) by position, [P].
            levels: The attraction of each level, [LEVELS].
        """
        # The levels lie in the first axis: sums over five neighbours would be slow.
        shares = (self._matrix @ logs).T.copy()
        most = shares.max(axis=0)
        shares -= most
        np.exp(shares, out=shares)
        total = np.ones(LEVELS) @ shares
        shares /= total
        likelihood = float(np.log(total).sum() + most.sum())
        chance = np.minimum(examined[self._place] * (levels @ shares)[self._pair], 0.999)
        nothing = np.add.reduceat(self._per_session * np.log1p(-chance), self._first_cells)
        idle = np.minimum(np.exp(nothing), MAX_IDLE_SHARE)
        sessions = np.maximum(self._logged, self._with_act / (1 - idle))
        per_logged = sessions / self._logged
        self._matrix.data[self._slots] = self._impressions * per_logged[self._query]
        # The likelihood is that of the log: without the missing sessions, and given that those with an act have one.
        missing = (sessions - self._logged) @ np.log(np.maximum(idle, 1e-9))
        likelihood -= float(missing + self._with_act @ np.log1p(-idle))
        by_item = shares.T.copy()
        sums = self._matrix.T @ by_item
        looked, of_groups = sums[: self._positions], sums[2 * self._positions :]
        return RoundSums(looked, of_groups, shares @ self._acts, by_item, per_logged, likelihood)


def blocks_of(log: Counts) -> list[Block]:
    """Cuts a log with at least one cell into blocks."""
    pairs, query = log.pairs, log.cells.query
    mean_position = log.per_pair(log.cells.position * log.cells.impressions) / pairs.impressions
    # Groups of about equal ratio: 0, 1, 2, 3-4, 5-7, 8-11, …
    group = np.floor(1.5 * np.log2(mean_position + 1)).astype(np.int64)
    ends = np.append(np.flatnonzero(np.diff(query)) + 1, len(query))
    # The last query of each block is the one in which the block becomes full.
    last = ends[np.flatnonzero(np.diff(ends // BLOCK_CELLS, append=-1))]
    bounds = zip(np.append(0, last[:-1]).tolist(), last.tolist(), strict=True)
    return [Block(log, slice(start, end), group, int(group.max()) + 1) for start, end in bounds]
