"""Intervals of rates and of their differences."""

import math

# The 97.5 % point of the normal distribution: intervals are those of 95 %.
Z = 1.959963984540054


def wilson(numerator: int, denominator: int) -> tuple[float, float]:
    """The 95 % interval of a rate by Wilson's score (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212).

    Args:
        numerator: From 0 to `denominator`.
        denominator: 1 or more.
    """
    rate = numerator / denominator
    spread = Z * math.sqrt(rate * (1 - rate) / denominator + Z**2 / (4 * denominator**2))
    center, scale = rate + Z**2 / (2 * denominator), 1 + Z**2 / denominator
    # Rounding must not leave the rate itself outside.
    return max(0.0, min(rate, (center - spread) / scale)), min(1.0, max(rate, (center + spread) / scale))


def newcombe(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """The 95 % interval of the second rate minus the first, of independent samples.

    Newcombe's hybrid score (1998, Statistics in Medicine 17, 873-890, method 10).

    Args:
        first: Numerator and denominator of one rate.
        second: Those of the other.
    """
    (first_rate, second_rate) = (first[0] / first[1], second[0] / second[1])
    (first_lower, first_upper), (second_lower, second_upper) = wilson(*first), wilson(*second)
    difference = second_rate - first_rate
    return (
        difference - math.hypot(second_rate - second_lower, first_upper - first_rate),
        difference + math.hypot(second_upper - second_rate, first_rate - first_lower),
    )
