"""The position-based model in plain loops over sessions: slow, and easy to compare with its formulas."""

import math
from collections import defaultdict
from collections.abc import Sequence

from support.simulated_log import LoggedSession

LEVELS = 5
Key = tuple[int, int]


def plain_attention(
    sessions: Sequence[LoggedSession], first_decay: float, rounds: int
) -> tuple[float, dict[int, float]]:
    """EM for a number of rounds; the decay, and the estimated number of sessions of each query."""
    shown: dict[tuple[int, int, int], float] = defaultdict(float)
    acts: dict[tuple[int, int, int], float] = defaultdict(float)
    logged: dict[int, float] = defaultdict(float)
    with_act: dict[int, float] = defaultdict(float)
    for query, showings in sessions:
        logged[query] += 1
        with_act[query] += any(grade > 0 for _, _, grade in showings)
        for item, position, grade in showings:
            shown[query, item, position] += 1
            acts[query, item, position] += grade > 0
    group = _groups(shown)
    members = {number: [key for key in group if group[key] == number] for number in set(group.values())}
    levels = [0.04 * (0.9 / 0.04) ** (level / (LEVELS - 1)) for level in range(LEVELS)]
    mix = {number: [1 / LEVELS] * LEVELS for number in members}
    total, decay = dict(logged), first_decay
    for _ in range(rounds):
        logs = {key: [math.log(share) for share in mix[group[key]]] for key in group}
        for (query, item, k), count in shown.items():
            done = acts[query, item, k]
            for level, attraction in enumerate(levels):
                chance = min(max((k + 1) ** -decay * attraction, 1e-9), 1 - 1e-6)
                passed = count * total[query] / logged[query] - done
                logs[query, item][level] += done * math.log(chance) + passed * math.log1p(-chance)
        shares = {key: _softmax(row) for key, row in logs.items()}
        mean = {key: sum(s * a for s, a in zip(row, levels, strict=True)) for key, row in shares.items()}
        nothing = dict.fromkeys(logged, 1.0)
        for (query, item, k), count in shown.items():
            nothing[query] *= (1 - min((k + 1) ** -decay * mean[query, item], 0.999)) ** (count / logged[query])
        total = {q: max(logged[q], with_act[q] / (1 - min(nothing[q], 0.98))) for q in logged}
        looks, got = [1e-12] * LEVELS, [0.0] * LEVELS
        for (query, item, k), count in shown.items():
            for level, share in enumerate(shares[query, item]):
                looks[level] += share * count * total[query] / logged[query] * (k + 1) ** -decay
                got[level] += share * acts[query, item, k]
        levels = [min(max(a / b, 1e-3), 1.0) for a, b in zip(got, looks, strict=True)]
        decay = _newton(shown, acts, shares, levels, {q: total[q] / logged[q] for q in logged}, decay)
        overall = [sum(row[level] for row in shares.values()) / len(shares) for level in range(LEVELS)]
        for number, keys in members.items():
            sums = [sum(shares[key][level] for key in keys) for level in range(LEVELS)]
            mix[number] = [(s + 10 * o) / (len(keys) + 10) for s, o in zip(sums, overall, strict=True)]
    return decay, total


def _groups(shown: dict[tuple[int, int, int], float]) -> dict[Key, int]:
    places: dict[Key, list[tuple[int, float]]] = defaultdict(list)
    for (query, item, k), count in shown.items():
        places[query, item].append((k, count))
    means = {key: sum(k * n for k, n in each) / sum(n for _, n in each) for key, each in places.items()}
    return {key: math.floor(1.5 * math.log2(mean + 1)) for key, mean in means.items()}


def _softmax(row: Sequence[float]) -> list[float]:
    weights = [math.exp(each - max(row)) for each in row]
    return [weight / sum(weights) for weight in weights]


def _newton(
    shown: dict[tuple[int, int, int], float],
    acts: dict[tuple[int, int, int], float],
    shares: dict[Key, list[float]],
    levels: Sequence[float],
    more: dict[int, float],
    decay: float,
) -> float:
    for _ in range(3):
        slope = curve = 0.0
        for (query, item, k), count in shown.items():
            attraction = sum(s * a for s, a in zip(shares[query, item], levels, strict=True))
            mean, rank = count * more[query] * attraction * (k + 1) ** -decay, math.log(k + 1)
            slope += rank * (mean - acts[query, item, k])
            curve += rank**2 * mean
        decay = min(max(decay + slope / curve, 0.0), 3.0)
    return decay
