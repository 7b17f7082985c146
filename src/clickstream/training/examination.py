"""Which shown items were probably never looked at: nobody turned those down, so they are no negatives."""

from collections import defaultdict
from collections.abc import Mapping

from clickstream.training.position_bias import Cell, Log

UNKNOWN_FROM = 0.5
"""From this probability that nobody ever examined an item for a query, the log says nothing about it."""

PRIOR_SHOWINGS = 20.0
"""Showings at the log's mean act rate that are added to each position: a rare one would otherwise lead."""


def propensities(log: Log) -> dict[int, float]:
    """How likely each position is examined, relative to the most acted on, above 0, at most 1.

        rate(k) = (acts at k + prior * mean rate) / (showings at k + prior)
        propensity(k) = rate(k) / highest rate of any position

    Better items at the top make it too small further down, so it errs towards calling an item unknown.
    Source: rank-based CTR in Chuklin, Markov and de Rijke, "Click Models for Web Search", 2015, section 3.1.
    """
    total: dict[int, Cell] = defaultdict(Cell)
    for items in log.values():
        for cells in items.values():
            for position, cell in cells.items():
                total[position].impressions += cell.impressions
                total[position].acts += cell.acts
    acts = sum(cell.acts for cell in total.values())
    mean = acts / max(1, sum(cell.impressions for cell in total.values()))
    rates = {k: (cell.acts + PRIOR_SHOWINGS * mean) / (cell.impressions + PRIOR_SHOWINGS) for k, cell in total.items()}
    highest = max(rates.values(), default=0.0)
    return {position: rate / highest if highest else 1.0 for position, rate in rates.items()}


def is_unknown(cells: Mapping[int, Cell], propensity: Mapping[int, float]) -> bool:
    """Whether an item, shown for a query as `cells` say by position, was probably never examined.

        P(never examined) = product over its showings of (1 - propensity(position))

    An item on which somebody acted was examined.
    """
    if any(cell.acts for cell in cells.values()):
        return False
    never = 1.0
    for position, cell in cells.items():
        never *= (1.0 - propensity[position]) ** cell.impressions
    return never >= UNKNOWN_FROM
