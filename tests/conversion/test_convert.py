"""Conversion of single sessions, chosen and generated (R12, R13)."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import NOW

from clickstream.conversion.convert import convert
from clickstream.conversion.importance import ImportancePolicy
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.training_inputs import (
    ConversionSummary,
    SearchSession,
    SessionEvent,
    ShownResult,
    TrainingInput,
)

GRADES = {"impression": 0.0, "view": 0.5, "click": 1.0, "purchase": 3.0}
POLICY = ImportancePolicy("test-1", GRADES, default_grade=0.25)


def act(event_id: str, object_id: str = "a", type: str = "click", second: float = 0) -> SessionEvent:  # noqa: A002
    """A click on `a`, or an event with other fields."""
    return SessionEvent(event_id, object_id, type, NOW + timedelta(seconds=second))


def search(*events: SessionEvent, objects: tuple[str, ...] = ("a", "b", "c"), **fields: Any) -> SearchSession:
    """A search that showed three results at places 0, 2 and 4."""
    results = [ShownResult(object_id, 2 * index, {"title": object_id}) for index, object_id in enumerate(objects)]
    values: dict[str, Any] = {"query": "red shoes", "results": results} | fields
    return SearchSession("s-1", "batch-1", 7, events=events, **values)


def mixed(acted_on: str, *non_text: str) -> SearchSession:
    """A search of which some results are no text; one result was acted on, or none."""
    results = [ShownResult(each, place, {}, is_text=each not in non_text) for place, each in enumerate("abc")]
    return search(*[act("e-1", acted_on)] if acted_on else [], results=results)


def converted(session: SearchSession, policy: ImportancePolicy = POLICY) -> tuple[TrainingInput | None, dict[str, Any]]:
    """The input, and what was counted."""
    summary = ConversionSummary(policy.version)
    return convert(session, policy, summary), summary.plain()


def grades(session: SearchSession, policy: ImportancePolicy = POLICY) -> dict[str, float]:
    """The grades by object."""
    found, _ = converted(session, policy)
    assert found is not None
    return {result.object_id: result.grade for result in found.results}


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        (search(), "no_events"),
        (search(act("e-1"), irrelevant=True), "irrelevant"),
        (search(act("e-1"), payload_search=True), "payload_search"),
        (search(act("e-1"), query=" \n"), "no_query"),
        (search(act("e-1"), objects=()), "no_results"),
        (search(act("e-1", "never shown")), "only_unshown_events"),
        (mixed("", "a", "b", "c"), "no_events"),
        (mixed("a", "a", "b", "c"), "only_non_text"),
        (mixed("never shown", "a", "b", "c"), "only_non_text"),
        (mixed("a", "a"), "only_non_text"),
        (mixed("never shown", "a"), "only_unshown_events"),
    ],
)
def test_r13_a_session_that_cannot_train_is_skipped_with_a_reason(session: SearchSession, reason: str) -> None:
    """R13: a session without events, relevance, ranking, query, results or shown acts is counted by its reason."""
    found, summary = converted(session)
    assert found is None
    assert summary["skipped_sessions"] == {reason: 1}
    assert (summary["session_count"], summary["input_count"]) == (1, 0)
    assert summary["graded_events"] == {}


@pytest.mark.parametrize(
    ("acts", "meta", "trains"),
    [
        ([act("e-1")], {"a": {"title": "shoe"}}, True),
        ([act("e-1")], {"b": {"title": "shoe"}}, False),
        ([act("e-1"), act("e-2", "b")], {"b": {"title": "shoe"}}, True),
        ([act("e-1", type="impression")], {"b": {"title": "shoe"}}, True),
        ([act("e-1", type="impression")], {"b": {"price": 3.0}}, False),
    ],
)
def test_r13_a_session_without_text_is_skipped_where_a_template_is_given(
    acts: list[SessionEvent], meta: dict[str, dict[str, object]], trains: bool
) -> None:
    """R13: a session trains only if an item with text was acted on or, without any act, shown."""
    results = [ShownResult(name, place, meta.get(name, {})) for place, name in enumerate("ab")]
    session, summary = search(*acts, results=results), ConversionSummary(POLICY.version)
    found = convert(session, POLICY, summary, ItemTemplate("{title}"))
    assert (found is not None) == trains
    assert summary.skipped_sessions == ({} if trains else {"no_text": 1})
    assert (summary.session_count, summary.input_count) == (1, int(trains))
    assert summary.graded_events.total() == (len(acts) if trains else 0)
    assert convert(session, POLICY, summary) is not None


def test_r12_one_of_three_results_clicked() -> None:
    """R12: the clicked result has the click's grade and its event; the other two are shown with grade 0."""
    found, summary = converted(search(act("e-1", "b")))
    assert [(each.object_id, each.position, each.grade, each.event_ids) for each in found.results] == [
        ("a", 0, 0.0, ()),
        ("b", 2, 1.0, ("e-1",)),
        ("c", 4, 0.0, ()),
    ]
    assert (found.session_id, found.batch_id, found.number, found.query) == ("s-1", "batch-1", 7, "red shoes")
    assert found.policy_version == summary["policy_version"] == "test-1"
    assert (summary["input_count"], summary["graded_events"]) == (1, {"click": 1})


@pytest.mark.parametrize(("first", "second"), [("view", "purchase"), ("purchase", "view")])
def test_r12_a_purchase_counts_before_and_after_a_view(first: str, second: str) -> None:
    """R12: by max, a view before or after the purchase does not lower the grade."""
    found, _ = converted(search(act("e-1", type=first, second=1), act("e-2", type=second, second=2)))
    assert found.results[0].grade == 3.0
    assert found.results[0].event_ids == ("e-1", "e-2")


def test_r12_by_last_the_later_event_decides() -> None:
    """R12: by last, the time of the events decides, not the order in which they are stored."""
    policy = ImportancePolicy("last-1", GRADES, 0.0, "last")
    assert grades(search(act("e-1", type="purchase", second=2), act("e-2", type="view", second=1)), policy)["a"] == 3.0
    assert grades(search(act("e-1", type="purchase", second=1), act("e-2", type="view", second=2)), policy)["a"] == 0.5


def test_r12_events_at_one_time_are_taken_by_id() -> None:
    """R12, R14: events of the same moment have a fixed order."""
    policy = ImportancePolicy("last-1", GRADES, 0.0, "last")
    found, _ = converted(search(act("e-2", type="purchase"), act("e-1", type="view")), policy)
    assert (found.results[0].event_ids, found.results[0].grade) == (("e-1", "e-2"), 3.0)


def test_r12_the_same_object_twice_in_the_events_is_one_result() -> None:
    """R12: several acts on one object give one grade, with all of them behind it."""
    acts = [act("e-1", type="click", second=2), act("e-2", type="click", second=1)]
    found, summary = converted(search(*acts))
    assert [each.object_id for each in found.results] == ["a", "b", "c"]
    assert (found.results[0].grade, found.results[0].event_ids) == (1.0, ("e-2", "e-1"))
    assert grades(search(*acts), ImportancePolicy("sum-1", GRADES, 0.0, "sum"))["a"] == 2.0
    assert summary["graded_events"] == {"click": 2}


def test_r4_r12_an_event_on_an_unshown_object_is_counted_and_never_trains() -> None:
    """R4, R12: only shown results are labelled; the stray event is counted apart."""
    found, summary = converted(search(act("e-1", "stranger", "purchase"), act("e-2", "a")))
    assert {each.object_id: each.grade for each in found.results} == {"a": 1.0, "b": 0.0, "c": 0.0}
    assert (summary["ignored_events"], summary["graded_events"]) == ({"unshown_object": 1}, {"click": 1})


def test_r12_a_result_that_is_no_text_is_counted_and_never_trains() -> None:
    """R12: an input has the text results at their own places; others, and the events on them, are counted."""
    results = [ShownResult(each, 20 + place, {}, is_text=each != "b") for place, each in enumerate("abc")]
    found, summary = converted(search(act("e-1", "b", "purchase"), act("e-2", "c"), results=results))
    assert [(each.object_id, each.position, each.grade) for each in found.results] == [("a", 20, 0.0), ("c", 22, 1.0)]
    assert summary["ignored_results"] == {"non_text": 1}
    assert (summary["ignored_events"], summary["graded_events"]) == ({"non_text_object": 1}, {"click": 1})


def test_r13_results_that_are_no_text_are_counted_also_of_skipped_sessions() -> None:
    """R13: the account of ignored results is that of all sessions that were read."""
    _, summary = converted(mixed("a", "a", "b"))
    assert summary["ignored_results"] == {"non_text": 2}
    assert (summary["ignored_events"], summary["skipped_sessions"]) == ({"non_text_object": 1}, {"only_non_text": 1})


def test_r12_an_unknown_type_has_the_default_grade_and_is_counted() -> None:
    """R12: a type that the policy does not name counts by the stated default."""
    found, summary = converted(search(act("e-1", type="share")))
    assert found.results[0].grade == 0.25
    assert (summary["unknown_types"], summary["graded_events"]) == ({"share": 1}, {"share": 1})


def test_r12_missing_meta_and_a_key_named_text_pass_through() -> None:
    """R12: any meta, also an empty one, is passed on unchanged."""
    metas: list[dict[str, Any]] = [{}, {"text": "a text", "query": "not the query", "grade": 9}]
    results = [ShownResult("a", 0, metas[0]), ShownResult("b", 1, metas[1])]
    found, _ = converted(search(act("e-1", "b"), results=results))
    assert [each.meta for each in found.results] == metas
    assert [each.grade for each in found.results] == [0.0, 1.0]
    assert found.query == "red shoes"


def test_r13_a_query_that_shows_nothing_is_no_query() -> None:
    """R13: a query of white space and of characters without any appearance is skipped like an empty one."""
    _, summary = converted(search(act("e-1"), query=" \u200b\u2060 "))
    assert summary["skipped_sessions"] == {"no_query": 1}


def test_r12_an_alias_is_counted_as_its_type() -> None:
    """R12: an alias has its type's grade, is counted as that type, and is no unknown type."""
    summary = ConversionSummary("test-1")
    found = convert(search(act("e-1", type="item_click")), replace(POLICY, aliases={"item_click": "click"}), summary)
    assert found is not None
    assert (found.results[0].grade, dict(summary.graded_events)) == (1.0, {"click": 1})
    assert not summary.unknown_types


def test_r13_late_and_surplus_events_are_counted_also_of_skipped_sessions() -> None:
    """R13: events that were left out before conversion appear in its account, by reason."""
    _, summary = converted(search(late_events=2, over_limit_events=3))
    assert summary["ignored_events"] == {"late": 2, "over_limit": 3}
    assert summary["skipped_sessions"] == {"no_events": 1}


def test_r13_the_account_is_bounded_whatever_types_clients_invent() -> None:
    """R13: beyond a thousand distinct types further ones are counted together, so that the account can be stored."""
    summary = ConversionSummary("test-1")
    for number in range(3):
        convert(search(*(act(f"e-{each}", type=f"type-{number}-{each}") for each in range(500))), POLICY, summary)
    for counted in (summary.graded_events, summary.unknown_types):
        assert sum(counted.values()) == 1_500
        assert len(counted) == 1_001
        assert counted["(other)"] == 500


ids = st.sampled_from(["a", "b", "c", "d", ""])
acts = st.builds(
    SessionEvent,
    st.text(max_size=3),
    ids,
    st.sampled_from([*GRADES, "share", "", "$x.y"]),
    st.datetimes(timezones=st.just(NOW.tzinfo)),
)
shown = st.builds(
    ShownResult,
    ids,
    st.integers(),
    st.dictionaries(st.text(), st.none() | st.floats() | st.text()),
    st.sampled_from([True, True, False]),
)
sessions = st.builds(
    SearchSession,
    session_id=st.text(),
    batch_id=st.text(),
    number=st.integers(),
    query=st.text(max_size=3),
    results=st.lists(shown, max_size=5),
    events=st.lists(acts, max_size=8),
    irrelevant=st.booleans(),
    payload_search=st.booleans(),
    late_events=st.integers(0, 3),
    over_limit_events=st.integers(0, 3),
)
policies = st.builds(
    ImportancePolicy,
    version=st.just("any"),
    grades=st.dictionaries(st.sampled_from(list(GRADES)), st.floats(0, 1e6)),
    default_grade=st.floats(0, 1e6),
    combine=st.sampled_from(["max", "sum", "last"]),
)


@given(st.lists(sessions, max_size=5), policies)
def test_r12_r13_no_session_raises_and_all_counts_add_up(read: list[SearchSession], policy: ImportancePolicy) -> None:
    """R12, R13: any session gives an input or a counted reason, and any event a grade or a counted reason."""
    summary = ConversionSummary(policy.version)
    found = [convert(session, policy, summary) for session in read]
    assert summary.session_count == len(read)
    assert summary.input_count == sum(each is not None for each in found)
    assert summary.input_count + sum(summary.skipped_sessions.values()) == summary.session_count
    expected: Counter[str] = Counter()
    for session, made in zip(read, found, strict=True):
        texts = [result.object_id for result in session.results if result.is_text]
        others = {result.object_id for result in session.results} - {*texts}
        non_text = sum(event.object_id in others for event in session.events)
        strays = sum(event.object_id not in {*texts, *others} for event in session.events)
        expected += Counter(unshown_object=strays, non_text_object=non_text)
        expected += Counter(late=session.late_events, over_limit=session.over_limit_events)
        if made is not None:
            expected["graded"] += len(session.events) - strays - non_text
            assert [each.object_id for each in made.results] == texts
            assert all(each.grade >= 0 for each in made.results)
    assert expected["graded"] == sum(summary.graded_events.values())
    assert +Counter(summary.ignored_events) == Counter({k: v for k, v in expected.items() if k != "graded"})


def test_r14_an_input_has_the_time_of_its_session() -> None:
    """R14, R17: the split by time goes by when the search ran, whatever the times of its events."""
    found, _ = converted(search(act("e-1", second=99), searched_at=NOW))
    assert found is not None
    assert found.searched_at == NOW
