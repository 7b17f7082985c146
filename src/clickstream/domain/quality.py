"""Checks of data quality: what they measure, their marks, and the steps that data take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from clickstream.domain.figures import Coverage, Rate
from clickstream.domain.intervals import wilson


class Mark(StrEnum):
    """How bad a check is; UNSPECIFIED: there was nothing to measure; SHOWN: the check has no mark."""

    UNSPECIFIED = "unspecified"
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SHOWN = "shown"


@dataclass(frozen=True, slots=True)
class Check:
    """A check: the counts that it divides, and its marks. docs/analytics.md says where each mark is from.

    A value beyond a mark is bad: above it or, if `low_is_bad`, below it. `rate` names the counts of the numerator and
    the denominator; a check without one measures a value.
    """

    id: str
    description: str
    advice: str = ""
    rate: tuple[str, str] = ("", "")
    warn: float | None = None
    fail: float | None = None
    low_is_bad: bool = False
    is_approximate: bool = False

    def mark(self, lower: float, upper: float) -> Mark:
        """The mark of a measured interval: beyond a mark only if all of it lies beyond, so that few data do not shout.

        Args:
            lower: The lower end; of a value without an interval the value itself.
            upper: The upper end, likewise.
        """
        if self.warn is None and self.fail is None:
            return Mark.SHOWN
        for limit, mark in ((self.fail, Mark.FAIL), (self.warn, Mark.WARN)):
            if limit is not None and (upper < limit if self.low_is_bad else lower > limit):
                return mark
        return Mark.OK


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """A check with what it measured: a rate or a value, or neither if there was nothing to measure."""

    check: Check
    mark: Mark
    rate: Rate | None = None
    value: float | None = None
    example_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class QualityStep:
    """A step, whether it is reached, and what it lacks, in sentences."""

    name: str
    is_reached: bool
    missing: Sequence[str]


@dataclass(frozen=True, slots=True)
class QualityGroup:
    """The checks of one day, batch or client."""

    value: str
    searches: int
    checks: Sequence[QualityCheck]


@dataclass(frozen=True, slots=True)
class Refused:
    """How many requests and events of one client were refused for one reason."""

    reason: str
    client: str
    count: int


@dataclass(frozen=True, slots=True)
class Quality:
    """The checks of all data together and by group, and what they mean."""

    checks: Sequence[QualityCheck]
    steps: Sequence[QualityStep]
    groups: Sequence[QualityGroup]
    unnamed_types: Sequence[tuple[str, int]]
    refusals: Sequence[Refused]
    coverage: Coverage


# The checks whose counts are sums over searches, so that groups have them, too.
OF_SEARCHES = (
    Check(
        "unshown_events",
        "events on objects that their search did not show, of all events",
        "Send the event with the session that showed the object, and register every shown result.",
        ("unshown", "events"),
        0.01,
        0.05,
    ),
    Check(
        "searches_with_click",
        "clickable searches with a click, of the clickable searches",
        "Check that clicks are sent, and under the id of the session that showed the result.",
        ("clicked", "clickable"),
        0.04,
        0.005,
        low_is_bad=True,
    ),
    Check(
        "first_place_clicks",
        "clicks at the first place, of all clicks",
        "Check that results keep their position, and that more than one result is shown.",
        ("first_place", "clicks"),
        0.9,
    ),
    Check(
        "early_events",
        "events dated before their search, of all stored events",
        "Compare the clocks of the backends that send searches and events.",
        ("events_early", "stored_events"),
        0.01,
        0.05,
    ),
    Check(
        "events_after_1h",
        "events dated more than 1 hour after their search, of all stored events",
        "Check that a session id is not used again for a later search.",
        ("events_1h", "stored_events"),
        0.01,
        0.05,
    ),
    Check(
        "events_after_24h",
        "events dated more than 24 hours after their search, of all stored events",
        "Send events when they happen: after the first training of a batch they no longer train.",
        ("events_24h", "stored_events"),
        0.01,
        0.05,
    ),
    Check(
        "purchases_alone",
        "purchases of a shown object without a click or add_to_cart on it before, of all such purchases",
        "Check that clicks are sent under the same session and object id as the purchase.",
        ("purchases_alone", "purchases"),
        0.05,
        0.25,
    ),
    Check(
        "searches_without_user",
        "searches without a user id, of all searches",
        "Send a pseudonym of the searching person as `user_id`: robots and refinements are found by it.",
        ("no_user", "searches"),
        0.2,
    ),
    Check(
        "items_without_text",
        "shown items without text by the item template, of those of one session in 20",
        "Send the parts that the item template names in `meta`, or name others in the template.",
        ("texts_empty", "texts"),
        0.05,
        0.25,
    ),
    Check(
        "items_of_one_word",
        "shown items with a text of one word, of those of one session in 20",
        "Send more of the item in `meta`: a model learns little from one word.",
        ("texts_word", "texts"),
        0.2,
    ),
    Check("searches_without_query", "searches without a query, of all searches", "", ("no_query", "searches")),
    Check("searches_without_results", "searches without results, of all searches", "", ("no_results", "searches")),
    Check("payload_searches", "payload searches, of all searches", "", ("payload", "searches")),
    Check(
        "unnamed_types",
        "events of types that the importance policy does not name, of all events",
        "Name these types in the importance policy, or as aliases: they train with its default grade.",
        ("unnamed", "events"),
        0.01,
        0.2,
    ),
    Check(
        "server_times",
        "searches without a `created_at` of the client, of all searches",
        "Send `created_at`: otherwise a search that is sent late counts as searched late.",
        ("server_time", "searches"),
        0.05,
    ),
    Check(
        "robots",
        "searches of robots, of all searches that are not marked irrelevant",
        "See who they are with `clickstream robots list`, and keep them away from the search page.",
        ("robot", "relevant"),
        0.05,
        0.2,
    ),
)

USERS_PER_TYPE = Check(
    "users_per_type",
    "distinct users of the event type that the fewest users have, of the named types that came",
    "Wait for more users: a few people decide what is learned from these events.",
    warn=100,
    low_is_bad=True,
)
VOLUME = Check(
    "volume",
    "searches of the last whole day, divided by the median of the same weekday in the 4 weeks before",
    "Check whether a backend stopped sending searches.",
    warn=0.5,
    fail=0.1,
    low_is_bad=True,
)
CONFLICTS = Check(
    "conflicts",
    "sessions and events that were refused because their id is taken by other content, of all that came",
    "Make a new id for every session and event, and send the same content in a retry.",
    ("conflicts", "arrivals"),
    0.001,
    0.01,
    is_approximate=True,
)
CLOCKS = Check(
    "refused_times",
    "sessions and events that were refused because of their `created_at`, of all that came",
    "Set the clocks of the backends, or mark an import of old data as `historical`.",
    ("refused_times", "arrivals"),
    0.05,
    is_approximate=True,
)
SMALLEST_GAIN = Check(
    "smallest_gain",
    "the smallest gain in nDCG@10 that the held-out queries with a click can show: 2.8 · SD / √n",
    "Collect more searches before training, so that more queries are held out.",
    warn=0.1,
)
SWAPPED_PAIRS = Check(
    "swapped_pairs",
    "pairs of query and item that were seen at two or more positions, of all pairs",
    "Let items swap places now and then: otherwise position bias cannot be told from relevance.",
    ("swapped", "pairs"),
    0.05,
    low_is_bad=True,
)
POSITION_GROUPS = Check(
    "position_groups", "groups of positions that no pair of query and item connects; 1: all can be compared"
)
DUPLICATE_TEXTS = Check(
    "duplicate_texts",
    "distinct items whose text another item has as well, of the items of the batch's first 5,000 sessions",
    "Add what distinguishes the items to `meta` and to the item template.",
    ("duplicate_texts", "text_items"),
    0.5,
)
REPEATED_QUERIES = Check(
    "repeated_queries",
    "searches whose query an earlier batch has as well, of the searches with a query",
    rate=("repeated", "with_query"),
)

# Distinct queries with a click below which a batch teaches too little.
TRAINABLE_QUERIES = 50
# The SD of the difference in nDCG@10 of a query where no run has measured it.
DEFAULT_SD = 0.35
# Of a difference between two means that is shown with 80 % power at 5 %: 1.96 + 0.84.
POWER = 2.8


def measured(check: Check, counts: Mapping[str, int], example_ids: Sequence[str] = ()) -> QualityCheck:
    """A check of a rate, measured from counts; a count that is absent is 0."""
    numerator, denominator = (counts.get(name, 0) for name in check.rate)
    if not denominator:
        return QualityCheck(check, Mark.UNSPECIFIED)
    return QualityCheck(
        check, check.mark(*wilson(numerator, denominator)), Rate(numerator, denominator), None, example_ids
    )


def valued(check: Check, value: float | None) -> QualityCheck:
    """A check of a value; None: there is nothing to measure."""
    return QualityCheck(check, Mark.UNSPECIFIED if value is None else check.mark(value, value), None, value)


def steps(checks: Sequence[QualityCheck], clicked_queries: int) -> list[QualityStep]:
    """The four steps: stored, measurable, trainable and judgeable. A step is reached only if those before it are.

    Args:
        checks: Every check.
        clicked_queries: The number of distinct queries with a click.
    """
    of = {each.check.id: each for each in checks}

    def failing(*names: str, marks: Sequence[Mark] = (Mark.FAIL,)) -> list[str]:
        found = [of[name] for name in names if name in of and of[name].mark in marks]
        return [f"{each.check.id}: {each.check.advice}" for each in found]

    searches = of["searches_without_user"].rate
    stored = [] if searches else ["there is no search"]
    measurable = failing("unshown_events", "searches_with_click", "early_events", "unnamed_types", "robots")
    measurable += failing("users_per_type", marks=(Mark.FAIL, Mark.WARN))
    trainable = failing("items_without_text", "purchases_alone")
    trainable += failing("swapped_pairs", marks=(Mark.FAIL, Mark.WARN))
    if clicked_queries < TRAINABLE_QUERIES:
        trainable.append(f"{clicked_queries} distinct queries have a click; {TRAINABLE_QUERIES} are needed")
    judgeable = failing("smallest_gain", marks=(Mark.FAIL, Mark.WARN))
    if of["smallest_gain"].value is None:
        judgeable.append("no held-out query has a click")
    found, reached = [], True
    for name, missing in (
        ("stored", stored + failing("conflicts", "refused_times")),
        ("measurable", measurable),
        ("trainable", trainable),
        ("judgeable", judgeable),
    ):
        reached = reached and not missing
        found.append(QualityStep(name, reached, missing))
    return found
