"""The checks of data quality equal a plain count (R25), and the steps say what is missing."""

import math
import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders import model_version, push, session_draft, struct, training_run
from support.click_logs import GRADES, JUDGED, POLICY, START, LogShape, write_log
from support.memory_store import MemoryDao
from support.plain_figures import PlainSearch, acts, milliseconds
from support.rollup_making import make_all
from support.servers import DEFAULTS

from clickstream.analytics.figures import FiguresEngine
from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.dao.interface.refusals import RefusalKey
from clickstream.domain.analytics import Segments
from clickstream.domain.figures import Population
from clickstream.domain.quality import Mark, Quality, QualityGroup
from clickstream.domain.runs import RunState
from clickstream.domain.windows import Window
from clickstream.quality.checks import QualityChecks

HOUR = timedelta(hours=1)
WINDOW = Window(START - 22 * HOUR, START + 98 * HOUR, ZoneInfo("Europe/Berlin"))


EVERYBODY = Population()


def checks_of(dao: MemoryDao, population: Population = EVERYBODY, template: str = "{brand}") -> QualityChecks:
    """What checks a store whose roll-ups are made now."""
    roll_ups = RollUps(dao, FrameRules(POLICY, Segments(), template))
    make_all(roll_ups, dao)
    return QualityChecks(dao, FiguresEngine(dao, roll_ups), roll_ups, DEFAULTS, population)


def found(quality: Quality | QualityGroup) -> dict[str, tuple[int, int]]:
    """The counts of every check that is a rate and has something to measure."""
    return {
        each.check.id: (each.rate.numerator, each.rate.denominator) for each in quality.checks if each.rate is not None
    }


def plain(searches: list[PlainSearch], population: Population) -> dict[str, tuple[int, int]]:
    """The counts of the checks over searches, one by one."""
    counts = Counter[str]()
    relevant = [each for each in searches if not each.irrelevant]
    counts["robots"], counts["relevant"] = sum(each.robot for each in relevant), len(relevant)
    for search in searches:
        if (search.irrelevant and not population.include_irrelevant) or (
            search.robot and not population.include_robots
        ):
            continue
        add(counts, search)
    rates = {
        "unshown_events": ("unshown", "events"),
        "searches_with_click": ("clicked", "clickable"),
        "first_place_clicks": ("first", "clicks"),
        "early_events": ("early", "stored"),
        "events_after_1h": ("hour", "stored"),
        "events_after_24h": ("day", "stored"),
        "purchases_alone": ("alone", "purchases"),
        "searches_without_user": ("no_user", "searches"),
        "items_without_text": ("empty", "texts"),
        "items_of_one_word": ("word", "texts"),
        "searches_without_query": ("no_query", "searches"),
        "searches_without_results": ("no_results", "searches"),
        "payload_searches": ("payload", "searches"),
        "unnamed_types": ("unnamed", "events"),
        "server_times": ("server_time", "searches"),
        "robots": ("robots", "relevant"),
    }
    return {name: (counts[above], counts[below]) for name, (above, below) in rates.items() if counts[below]}


def add(counts: Counter[str], search: PlainSearch) -> None:
    """Counts one search."""
    session, places = search.session, search.places
    seen = acts(search, POLICY.aliases)
    counts["searches"] += 1
    counts["no_user"] += not session.user_id
    counts["payload"] += session.payload_search
    counts["no_query"] += not search.query and not session.payload_search
    counts["no_results"] += not session.results and not session.payload_search
    counts["clickable"] += search.clickable
    counts["clicked"] += search.clickable and any(kind == "click" and name in places for kind, name in seen)
    for (kind, name), moments in seen.items():
        counts["events"] += len(moments)
        counts["unshown"] += len(moments) * (name not in places)
        counts["unnamed"] += len(moments) * (kind not in GRADES)
        if kind == "click" and name in places and search.clickable:
            counts["clicks"] += len(moments)
            counts["first"] += len(moments) * (places[name] == 1)
        if kind == "purchase" and name in places:
            counts["purchases"] += 1
            before = [seen[other, name][0] for other in ("click", "add_to_cart") if (other, name) in seen]
            counts["alone"] += not before or min(before) > moments[0]
    for event in search.events:
        delay = milliseconds(event.created_at) - search.at
        counts["stored"] += 1
        counts["early"] += delay < timedelta()
        counts["hour"] += delay > HOUR
        counts["day"] += delay > 24 * HOUR
    if search.number % 20 == 1:
        texts = [each.meta.fields["brand"].string_value for each in session.results]
        counts["texts"] += len(texts)
        counts["empty"] += texts.count("")
        counts["word"] += sum(len(text.split()) == 1 for text in texts)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.builds(Population, st.booleans(), st.just(False), st.booleans()),
    st.sampled_from(("", "day", "batch", "client")),
)
def test_r25_every_check_equals_a_plain_count(seed: int, population: Population, group_by: str) -> None:
    """R25: over a window, by day of a zone, batch and client, each check has the counts of its searches."""
    dao = MemoryDao()
    searches = write_log(dao, seed, JUDGED)
    quality = checks_of(dao, population).of_window(WINDOW, group_by)
    inside = [each for each in searches if WINDOW.start <= each.at < WINDOW.end]
    expected = plain(inside, population)
    assert {name: counts for name, counts in found(quality).items() if name in expected} == expected
    value = {
        "": lambda _: None,
        "day": lambda each: each.at.astimezone(WINDOW.zone).date().isoformat(),
        "batch": lambda each: f"batch-{each.batch}",
        "client": lambda each: each.session.client.name or "(none)",
    }[group_by]
    groups: dict[str, list[PlainSearch]] = {}
    for each in inside:
        groups.setdefault(value(each), []).append(each)
    expected_groups = {
        name: rates
        for name, members in groups.items()
        if name and "searches_without_user" in (rates := plain(members, population))
    }
    assert {
        each.value: {
            check.check.id: (check.rate.numerator, check.rate.denominator) for check in each.checks if check.rate
        }
        for each in quality.groups
    } == expected_groups
    unnamed = Counter[str]()
    for each in inside:
        if not (each.irrelevant and not population.include_irrelevant) and not (
            each.robot and not population.include_robots
        ):
            for (kind, _), moments in acts(each, POLICY.aliases).items():
                unnamed[kind] += len(moments) * (kind not in GRADES)
    assert dict(quality.unnamed_types) == {kind: count for kind, count in unnamed.items() if count}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_r25_the_checks_of_a_batch_equal_a_plain_count(seed: int) -> None:
    """R25: a batch has the checks of its own sessions, and those on positions, texts and repeated queries."""
    dao = MemoryDao()
    searches = write_log(dao, seed, LogShape(batches=3, judged=True))
    batch = dao.batches.get(2)
    quality = checks_of(dao).of_batch(batch, "")
    members = [each for each in searches if each.batch == 2]
    counts = found(quality)
    expected = plain(members, Population())
    assert {name: rate for name, rate in counts.items() if name in expected} == expected
    places: dict[tuple[str, str], set[int]] = {}
    for each in members:
        if each.clickable and each.query:
            for object_id, place in each.places.items():
                places.setdefault((each.query, object_id), set()).add(place)
    assert counts["swapped_pairs"] == (sum(len(each) > 1 for each in places.values()), len(places))
    values = {each.check.id: each.value for each in quality.checks}
    assert values["position_groups"] == groups_of(list(places.values()))
    earlier = {each.query for each in searches if each.batch == 1}
    counted = [each for each in members if each.query and not each.irrelevant and not each.robot]
    if counted:
        assert counts["repeated_queries"] == (sum(each.query in earlier for each in counted), len(counted))
    texts: dict[str, str] = {}
    for each in members:
        for result in each.session.results:
            texts.setdefault(result.object_id, result.meta.fields["brand"].string_value)
    known = [text for text in texts.values() if text]
    assert counts["duplicate_texts"] == (sum(known.count(text) > 1 for text in known), len(known))
    clicked = {each.query for each in counted if each.clickable and clicks(each)}
    held_out = len(clicked)  # with folds, every query measures
    expected_gain = 2.8 * 0.35 / math.sqrt(held_out) if held_out else None
    assert values["smallest_gain"] == (pytest.approx(expected_gain) if expected_gain else None)
    users = [
        {each.session.user_id for each in members if counts_in(each) and kind_on_shown(each, kind)} - {""}
        for kind in GRADES
        if any(counts_in(each) and came(each, kind) for each in members)
    ]
    assert values["users_per_type"] == min(map(len, users), default=None)


def counts_in(search: PlainSearch) -> bool:
    """Whether a search counts by default."""
    return not search.irrelevant and not search.robot


def clicks(search: PlainSearch) -> bool:
    """Whether a shown object was clicked."""
    return kind_on_shown(search, "click")


def kind_on_shown(search: PlainSearch, kind: str) -> bool:
    """Whether an event of this type is on a shown object."""
    return any(each == kind and name in search.places for each, name in acts(search, POLICY.aliases))


def came(search: PlainSearch, kind: str) -> bool:
    """Whether an event of this type came."""
    return any(each == kind for each, _ in acts(search, POLICY.aliases))


def groups_of(sets: list[set[int]]) -> int | None:
    """The number of groups of places, by joining sets until nothing changes."""
    joined: list[set[int]] = []
    for places in sets:
        apart = [each for each in joined if not each & places]
        touching = [each for each in joined if each & places]
        joined = [*apart, set(places).union(*touching)]
    return len(joined) or None


def test_conflicts_and_clocks_are_counted_from_refusals() -> None:
    """Refusals of the window's hours stand beside what came; the check says that they are approximate."""
    dao = MemoryDao()
    dao.sessions.append([session_draft(f"s-{number}", START + number * timedelta(minutes=1)) for number in range(90)])
    hour = START.replace(minute=0, second=0, microsecond=0)
    dao.refusals.add({RefusalKey(hour, "CONTENT_CONFLICT", "web"): 8, RefusalKey(hour, "INVALID_FIELD", ""): 5})
    dao.refusals.add({RefusalKey(hour + HOUR, "CREATED_AT_OUT_OF_WINDOW", "web"): 2})
    dao.refusals.add({RefusalKey(hour + 200 * HOUR, "CONTENT_CONFLICT", "web"): 1_000})
    quality = checks_of(dao).of_window(WINDOW, "")
    assert found(quality)["conflicts"] == (8, 100)
    assert found(quality)["refused_times"] == (2, 100)
    [conflicts] = [each for each in quality.checks if each.check.id == "conflicts"]
    assert (conflicts.mark, conflicts.check.is_approximate) == (Mark.FAIL, True)
    assert [(each.reason, each.client, each.count) for each in quality.refusals] == [
        ("CONTENT_CONFLICT", "web", 8),
        ("INVALID_FIELD", "", 5),
        ("CREATED_AT_OUT_OF_WINDOW", "web", 2),
    ]


def test_the_volume_is_compared_with_the_same_weekday_before() -> None:
    """The last whole day of the window's zone, divided by the median of the four weeks before; absent without them."""
    dao = MemoryDao()
    midnight = datetime(2026, 10, 22, tzinfo=ZoneInfo("Europe/Berlin"))
    numbers = {0: 3, 1: 10, 2: 12, 3: 0, 4: 14}
    for weeks, count in numbers.items():
        at = (midnight - timedelta(weeks=weeks)).astimezone(UTC)
        dao.sessions.append([session_draft(f"s-{weeks}-{number}", at + number * HOUR) for number in range(count)])
    end = (midnight + timedelta(days=1)).astimezone(UTC)
    quality = checks_of(dao).of_window(Window(end - 8 * 24 * HOUR, end + HOUR, ZoneInfo("Europe/Berlin")), "")
    [volume] = [each for each in quality.checks if each.check.id == "volume"]
    assert (volume.value, volume.mark) == (3 / statistics.median([10, 12, 0, 14]), Mark.WARN)
    early = checks_of(dao).of_window(Window(end - 70 * 24 * HOUR, end - 60 * 24 * HOUR, ZoneInfo("UTC")), "")
    assert [each.value for each in early.checks if each.check.id == "volume"] == [None]


def test_the_smallest_gain_is_that_of_the_last_measured_run() -> None:
    """Where a version was measured, its SD counts: half of its interval, by 1.96, times the root of its queries."""
    dao, other = MemoryDao(), MemoryDao()
    for store in (dao, other):
        for number in range(30):
            store.sessions.append([session_draft(f"s-{number}", START, query=f"query {number}")])
            store.events.append([push(f"s-{number}", "e-1")])
    dao.runs.create(training_run("run-1"))
    dao.runs.claim("me", START, START + HOUR)
    version = model_version("run-1")
    dao.runs.finish("run-1", "me", RunState.SUCCEEDED, "well", version, START)
    gain, queries = version.evaluation.ndcg_gain, version.data.held_out_queries
    deviation = (gain.upper - gain.lower) / (2 * 1.959963984540054) * math.sqrt(queries)
    values = {each.check.id: each.value for each in checks_of(dao).of_window(WINDOW, "").checks}
    without = {each.check.id: each.value for each in checks_of(other).of_window(WINDOW, "").checks}
    assert deviation > 0
    assert values["smallest_gain"] == pytest.approx(without["smallest_gain"] * deviation / 0.35)


def test_examples_are_sessions_in_which_the_fault_is_seen() -> None:
    """Up to 5 session ids stand beside a check, and each of them has the fault."""
    dao = MemoryDao()
    searches = {each.session.session_id: each for each in write_log(dao, 11, LogShape(sessions=80))}
    quality = checks_of(dao).of_window(WINDOW, "")
    examples = {each.check.id: [searches[name] for name in each.example_ids] for each in quality.checks}
    assert len(examples["unshown_events"]) == 5
    assert all(
        any(name not in each.places for _, name in acts(each, POLICY.aliases)) for each in examples["unshown_events"]
    )
    assert all(each.session.user_id == "" for each in examples["searches_without_user"])
    assert all(
        any(milliseconds(event.created_at) < each.at for event in each.events) for each in examples["early_events"]
    )


def test_an_empty_store_reaches_no_step() -> None:
    """Without a search every check has nothing to measure, and the first step says why."""
    quality = checks_of(MemoryDao()).of_window(WINDOW, "day")
    assert {each.mark for each in quality.checks} == {Mark.UNSPECIFIED}
    assert [(each.name, each.is_reached) for each in quality.steps] == [
        ("stored", False),
        ("measurable", False),
        ("trainable", False),
        ("judgeable", False),
    ]
    assert quality.steps[0].missing == ["there is no search"]
    assert quality.steps[3].missing == ["no held-out query has a click"]


def test_texts_are_those_of_the_item_template() -> None:
    """Without an item template there is no text to check; with one, the parts that it names are."""
    dao = MemoryDao()
    dao.sessions.append([session_draft("s-1", START, meta=struct(title="red shoe"))])
    assert "items_without_text" not in found(checks_of(dao, template="").of_window(WINDOW, ""))
    counts = found(checks_of(dao, template="{title}").of_window(WINDOW, ""))
    assert counts["items_of_one_word"] == (0, 3)
    assert counts["server_times"] == (1, 1), "the draft has no time of the client"
