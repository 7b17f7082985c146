"""A simulated reader of result lists, for the benchmarks and for trying the service without real users."""

import random
from collections.abc import Sequence


def simulate_clicks(
    grades: Sequence[float],
    source: random.Random,
    *,
    eta: float = 1.0,
    noise: float = 0.1,
    best_grade: float = 4.0,
) -> list[int]:
    """The positions that a reader clicks in one session, in shown order.

    The reader examines position k (0-based) with probability 1 / (k + 1)^eta, independently,
    and clicks an examined item of grade g with probability

        noise + (1 - noise) * (2^g - 1) / (2^best_grade - 1)

    Source: the position-based model with graded relevance of Joachims, Swaminathan and Schnabel,
    "Unbiased learning-to-rank with biased feedback", WSDM 2017, with the graded attraction of Chapelle
    et al., "Expected reciprocal rank for graded relevance", CIKM 2009.

    Args:
        grades: True relevance of the shown items, 0 to `best_grade`, in shown order.
        source: Draws twice per position, so that lists of equal length keep later draws in step.
        eta: How fast attention falls; 0 = every position is examined.
        noise: Click probability of an examined item that is not relevant.
        best_grade: The grade that is clicked whenever it is examined.
    """
    clicked = []
    for position, grade in enumerate(grades):
        examined = source.random() < (position + 1) ** -eta
        attracted = source.random() < noise + (1 - noise) * (2**grade - 1) / (2**best_grade - 1)
        if examined and attracted:
            clicked.append(position)
    return clicked
