"""What was measured: base and new model on held-out and judged queries, click models on held-out sessions."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Metrics:
    """Means over queries, each 0 to 1."""

    ndcg_at_10: float
    mrr_at_10: float
    recall_at_10: float
    recall_at_100: float = 0.0

    def named(self, whose: str) -> dict[str, float]:
        """The metrics by name, `{whose}_ndcg_at_10` and so on."""
        return {f"{whose}_{name}": value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Gain:
    """Mean of a metric's differences, new minus base, and its 95 % interval."""

    mean: float = 0.0
    lower: float = 0.0
    upper: float = 0.0

    def __str__(self) -> str:
        """The gain and its interval, for people."""
        return f"{self.mean:+.4f}, 95 % interval {self.lower:+.4f} to {self.upper:+.4f}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Base and new model on the same queries."""

    query_count: int
    base: Metrics
    new: Metrics
    ndcg_gain: Gain
    mrr_gain: Gain
    recall_gain: Gain
    recall_at_100_gain: Gain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Comparison":
        """The comparison that `dataclasses.asdict` made plain."""
        gains = {name: Gain(**value) for name, value in plain.items() if name.endswith("_gain")}
        return cls(plain["query_count"], Metrics(**plain["base"]), Metrics(**plain["new"]), **gains)


@dataclass(frozen=True, slots=True)
class Segment:
    """Base and new model on the held-out queries of one kind."""

    kind: str
    value: str
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class JudgedEvaluation:
    """Base and new model on the queries that people judged; the contract's message defines each field."""

    judgements_sha256: str
    unsearched: Comparison
    searched: Comparison
    unmeasured_queries: int
    unknown_items: int


class RepeatBasis(StrEnum):
    """Which earlier searches a repeated search repeats."""

    BASE_MODEL = "base_model"
    EARLIER_BATCHES = "earlier_batches"
    EARLIER_HALF = "earlier_half"


@dataclass(frozen=True, slots=True)
class RepeatedShare:
    """The share of searches whose query was searched before, 0 to 1, and where before is."""

    share: float
    basis: RepeatBasis


# Without any search.
NOTHING_REPEATED = RepeatedShare(0.0, RepeatBasis.EARLIER_HALF)


@dataclass(frozen=True, slots=True)
class StepScale:
    """Mean nDCG@10 of weights that lie `scale` of the way from the base model to the trained weights."""

    scale: float
    held_out_ndcg_at_10: float
    repeated_ndcg_at_10: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Base and new model on the held-out queries, and on repeated ones; the contract's message defines each field."""

    base: Metrics
    new: Metrics
    ndcg_gain: Gain
    mrr_gain: Gain = Gain()
    recall_gain: Gain = Gain()
    recall_at_100_gain: Gain = Gain()
    segments: tuple[Segment, ...] = ()
    judged: JudgedEvaluation | None = None
    repeated: Comparison | None = None
    weighted_gain: Gain | None = None
    repeated_share: float = 0.0
    repeated_share_basis: str = ""
    folds: int = 1
    step_scale: float = 1.0
    step_scales: tuple[StepScale, ...] = ()

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Evaluation":
        """The evaluation that `dataclasses.asdict` made plain."""
        judged = plain.get("judged")
        if judged:
            parts = {name: Comparison.from_plain(judged[name]) for name in ("unsearched", "searched")}
            judged = JudgedEvaluation(**{**judged, **parts})
        segments = (
            Segment(each["kind"], each["value"], Comparison.from_plain(each["comparison"]))
            for each in plain.get("segments", ())
        )
        gains = (name for name, value in plain.items() if name.endswith("_gain") and value)
        repeated = plain.get("repeated")
        return cls(
            **{
                **plain,
                "base": Metrics(**plain["base"]),
                "new": Metrics(**plain["new"]),
                **{name: Gain(**plain[name]) for name in gains},
                "segments": tuple(segments),
                "judged": judged,
                "repeated": Comparison.from_plain(repeated) if repeated else None,
                "step_scales": tuple(StepScale(**each) for each in plain.get("step_scales", ())),
            }
        )


@dataclass(frozen=True, slots=True)
class ClickModelScore:
    """How well a click model predicts the clicks of sessions that it did not learn from.

    `perplexity` is the mean over the positions, 1 for a perfect model and 2 for a coin toss; `log_likelihood` is
    the mean per session, in nats. `chosen` marks the model by whose labels the run learned.
    """

    name: str
    perplexity: float
    log_likelihood: float
    chosen: bool
