from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.shop_log import shop_log, tiny_settings, training_input

from clickstream.domain.errors import FailedPrecondition
from clickstream.domain.query_split import is_held_out, is_validation, normalised
from clickstream.domain.training_inputs import TrainingInput
from clickstream.training.data.dataset import read_dataset
from clickstream.training.data.examples import Example
from clickstream.training.progress import Canceled

SETTINGS = tiny_settings("unused")


def enough(*inputs: TrainingInput) -> list[TrainingInput]:
    """The inputs, followed by others, so that there is enough to train on."""
    return [*inputs, *shop_log(1)]


def targets(example: Example) -> dict[int, float]:
    """The target of every text shown for a query."""
    return {item: each.target for item, each in example.evidence.items()}


@pytest.mark.parametrize("seed", [0, 42, -7])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_r17_no_held_out_query_is_trained_on(seed: int, share: float) -> None:
    """R17: no held-out query trains in any spelling, and about the stated share of queries is held out."""
    inputs = [
        replace(one, query=query)
        for one in shop_log(1)
        for query in (one.query, one.query.upper() + " ", f"{one.query} {one.number % 7} new")
    ]
    dataset = read_dataset(inputs, replace(SETTINGS, seed=seed, held_out_share=share))
    training = {normalised(example.query) for example in dataset.folds[0].training}
    held_out = {normalised(example.query) for example in dataset.folds[0].held_out}
    assert not training & held_out
    assert len(training) + len(held_out) == len({normalised(one.query) for one in inputs}) == 160
    assert len(held_out) / 160 == pytest.approx(share, abs=0.1)


def test_r17_a_query_stays_held_out_when_the_log_grows() -> None:
    """R17: a query that was held out from a small log is held out from a larger one, too."""
    small = {example.query for example in read_dataset(list(shop_log(1))[:40], SETTINGS).folds[0].held_out}
    grown = {example.query for example in read_dataset(shop_log(1), SETTINGS).folds[0].held_out}
    assert small
    assert small < grown


SPLIT = datetime(2026, 5, 4, tzinfo=UTC)


def dated_log() -> list[TrainingInput]:
    """Every query once before the split, once at it, and twice after it; the first session after it has no click."""
    dated = []
    for one in shop_log(1):
        without_click = replace(one, results=tuple(replace(result, grade=0.0) for result in one.results))
        for hours, session in ((-1, one), (0, one), (1, without_click), (2, one)):
            dated.append(replace(session, searched_at=SPLIT + timedelta(hours=hours)))
    return dated


def test_r17_split_by_time_the_past_trains_and_the_future_measures() -> None:
    """R17: held-out queries use sessions after the split, training queries those up to it; the others are counted."""
    plain = read_dataset(shop_log(1), SETTINGS)
    dataset = read_dataset(dated_log(), replace(SETTINGS, held_out_after=SPLIT))
    assert [e.query for e in dataset.folds[0].training] == [e.query for e in plain.folds[0].training]
    assert [e.query for e in dataset.folds[0].held_out] == [e.query for e in plain.folds[0].held_out]
    assert list(map(targets, dataset.folds[0].training)) == list(map(targets, plain.folds[0].training))
    assert {grade for example in dataset.folds[0].held_out for grade in example.gains.values()} == {0.0, 0.5}
    assert {example.sessions for example in dataset.folds[0].training + dataset.folds[0].held_out} == {2}
    assert (dataset.counts.input_count, dataset.counts.inputs_outside_time) == (320, 160)


def test_r17_without_a_split_by_time_every_session_counts() -> None:
    """R17: without `held_out_after`, the times of sessions change nothing."""
    dataset = read_dataset(dated_log(), SETTINGS)
    assert {example.sessions for example in dataset.folds[0].training + dataset.folds[0].held_out} == {4}
    assert dataset.counts.inputs_outside_time == 0
    undated = [replace(one, searched_at=None) for one in dated_log()]
    assert read_dataset(undated, SETTINGS) == dataset


def test_items_of_sessions_outside_time_are_still_known() -> None:
    """An item that only a session outside of the split shows is ranked all the same."""
    late = replace(training_input("zebra", [("z", 1.0, {"title": "zoo"})]), searched_at=SPLIT + timedelta(days=1))
    assert not is_held_out("zebra", SETTINGS.seed, SETTINGS.held_out_share)
    dataset = read_dataset([*dated_log(), late], replace(SETTINGS, held_out_after=SPLIT))
    assert "zoo" in dataset.texts
    assert dataset.texts[dataset.rows["z"]] == "zoo"
    assert "zebra" not in {example.query for example in dataset.folds[0].training}


def test_r17_the_fingerprint_covers_which_sessions_count() -> None:
    """R17: a session's time changes the fingerprint only if it changes whether the session counts."""
    settings = replace(SETTINGS, held_out_after=SPLIT)
    first, *others = dated_log()
    earlier, later = (replace(first, searched_at=SPLIT + timedelta(hours=hours)) for hours in (-5, 5))
    prints = [read_dataset([one, *others], settings).fingerprint for one in (first, earlier, later)]
    assert prints[0] == prints[1] != prints[2]


def test_grades_are_pooled_over_sessions() -> None:
    """In two sessions of one query, item a has grades 1 and 0, b has 2 and 2: the targets are 0.5 and 2."""
    one = training_input("zebra", [("a", 1.0, {"title": "a"}), ("b", 2.0, {"title": "b"})])
    two = training_input(" ZEBRA", [("b", 2.0, {"title": "b"}), ("a", 0.0, {"title": "a"})])
    dataset = read_dataset(enough(one, two), SETTINGS)
    [example] = [e for e in dataset.folds[0].training + dataset.folds[0].held_out if e.query == "zebra"]
    assert {dataset.texts[item]: grade for item, grade in targets(example).items()} == {"a": 0.5, "b": 2.0}


def test_items_with_the_same_text_are_one_candidate() -> None:
    """Two items with one text are one candidate: the better label counts, and the evidence of both is added."""
    one = training_input("zebra", [("a", 1.0, {"title": "same"}), ("b", 0.0, {"title": "same"})])
    dataset = read_dataset(enough(one), SETTINGS)
    [example] = [e for e in dataset.folds[0].training + dataset.folds[0].held_out if e.query == "zebra"]
    assert targets(example) == example.gains == {dataset.texts.index("same"): 1.0}
    [both] = example.evidence.values()
    assert (both.acts, both.looks) == (pytest.approx(1.0), 2.0)
    assert dataset.texts.count("same") == 1


def test_an_item_shown_where_few_people_look_is_unknown() -> None:
    """Clicks fall on the first four of twelve places: items below without a click are unknown, not negatives."""
    shown = [(f"i{place}", float(place < 4), {"title": f"i{place}"}) for place in range(12)]
    log = [training_input(f"query {number}", shown, number=number) for number in range(40)]
    dataset = read_dataset(log, replace(SETTINGS, position_bias="rank_ctr", unexamined="unknown"))
    for example in dataset.folds[0].training:
        assert {dataset.texts[item] for item in example.unknown} == {f"i{place}" for place in range(4, 12)}
        assert all(example.evidence[item].acts == 0 for item in example.unknown)
    assert all(example.unknown == frozenset() for example in read_dataset(log, SETTINGS).folds[0].training)


def test_a_twin_that_was_examined_makes_the_text_known() -> None:
    """Of two items with the same text one was clicked, so the text was examined."""
    shown = [(f"i{place}", float(place in (0, 11)), {"title": f"i{min(place, 10)}"}) for place in range(12)]
    log = [training_input(f"query {number}", shown, number=number) for number in range(40)]
    dataset = read_dataset(log, replace(SETTINGS, position_bias="rank_ctr", unexamined="unknown"))
    unknown = {dataset.texts[item] for example in dataset.folds[0].training for item in example.unknown}
    assert "i9" in unknown
    assert "i10" not in unknown


def test_r17_validation_queries_neither_train_nor_measure() -> None:
    """R17: with early stopping about a tenth of the training queries validate; the held-out queries stay the same."""
    inputs = [replace(one, query=f"{one.query} {n}") for n in range(3) for one in shop_log(1)]
    plain, split = read_dataset(inputs, SETTINGS), read_dataset(inputs, replace(SETTINGS, early_stopping_patience=1))
    queries = [
        {example.query for example in part}
        for part in (split.folds[0].training, split.folds[0].validation, split.folds[0].held_out)
    ]
    assert sum(map(len, queries)) == len(set.union(*queries)) == 240
    assert queries[2] == {example.query for example in plain.folds[0].held_out}
    assert 0.05 < len(queries[1]) / len(plain.folds[0].training) < 0.15
    assert split.counts.training_queries == len(queries[0])
    assert plain.folds[0].validation == []


def seldom_clicked(query: str) -> list[TrainingInput]:
    """A query whose only item is clicked in one of twenty sessions, less than others at its position: its gain is 0."""
    return [
        training_input(query, [("z", float(number == 1), {"title": "zoo"})], number=1_000 + number)
        for number in range(1, 21)
    ]


def test_r17_a_held_out_query_without_a_gain_neither_measures_nor_trains() -> None:
    """R17: a held-out query whose acts are no gain is in no part of the dataset."""
    query = next(f"zebra {n}" for n in range(100) if is_held_out(f"zebra {n}", SETTINGS.seed, SETTINGS.held_out_share))
    dataset = read_dataset(enough(*seldom_clicked(query)), replace(SETTINGS, position_bias="rank_ctr"))
    assert query not in {example.query for example in dataset.folds[0].training}
    assert query not in {example.query for example in dataset.folds[0].held_out}
    assert "zoo" in dataset.texts


def test_a_validation_query_without_a_gain_trains() -> None:
    """Every validation query has a gain to be ranked by; a query without one trains on its acts."""
    seed, share = SETTINGS.seed, SETTINGS.held_out_share
    queries = [f"zebra {n}" for n in range(100)]
    query = next(each for each in queries if is_validation(each, seed) and not is_held_out(each, seed, share))
    others = [replace(one, query=f"{one.query} {n}") for n in range(3) for one in shop_log(1)]
    settings = replace(SETTINGS, position_bias="rank_ctr", early_stopping_patience=1)
    dataset = read_dataset([*seldom_clicked(query), *others], settings)
    assert query in {example.query for example in dataset.folds[0].training}
    assert query not in {example.query for example in dataset.folds[0].validation}
    assert all(any(gain > 0 for gain in example.gains.values()) for example in dataset.folds[0].validation)


def test_an_items_latest_text_counts() -> None:
    """A later text replaces an earlier one; later meta without text does not."""
    inputs = [training_input("zebra", [("a", 1.0, meta)]) for meta in ({"title": "old"}, {"title": "now"}, {})]
    texts = read_dataset(enough(*inputs), SETTINGS).texts
    assert "now" in texts
    assert "old" not in texts


def test_items_and_sessions_without_text_are_counted_and_skipped() -> None:
    """Items without text are no candidates; a session whose graded items have none is left out."""
    textless = training_input("zebra", [("a", 1.0, {}), ("b", 0.0, {"title": "b"})])
    partly = training_input("lion", [("a", 1.0, {}), ("b", 1.0, {"title": "b"})])
    without_click = training_input("lion", [("b", 0.0, {"title": "b"})])
    plain = read_dataset(enough(), SETTINGS)
    dataset = read_dataset(enough(textless, partly, without_click), SETTINGS)
    assert dataset.counts.input_count == plain.counts.input_count + 3
    assert dataset.counts.inputs_without_text == 1
    assert dataset.counts.items_without_text == 1
    assert dataset.counts.items == plain.counts.items + 1
    queries = {example.query: example for example in dataset.folds[0].training + dataset.folds[0].held_out}
    assert "zebra" not in queries
    assert targets(queries["lion"]) == {dataset.texts.index("b"): 0.5}


def test_r17_the_fingerprint_is_of_the_inputs_as_trained() -> None:
    """R17: another grade, position, text, query, policy or order gives another fingerprint; unused meta does not."""
    inputs = list(shop_log(1))
    first = inputs[0]
    results = first.results

    def fingerprint(changed: TrainingInput, template: str = "{title}") -> str:
        return read_dataset([changed, *inputs[1:]], replace(SETTINGS, item_template=template)).fingerprint

    prints = {
        fingerprint(first),
        fingerprint(replace(first, query="another")),
        fingerprint(replace(first, policy_version="test-2")),
        fingerprint(replace(first, results=(replace(results[0], grade=0.25), *results[1:]))),
        fingerprint(replace(first, results=(replace(results[0], position=9), *results[1:]))),
        fingerprint(replace(first, results=(replace(results[0], object_id="other"), *results[1:]))),
        fingerprint(replace(first, results=(replace(results[0], meta={"title": "new"}), *results[1:]))),
        fingerprint(first, template="{title}. {description}"),
        read_dataset(inputs[::-1], SETTINGS).fingerprint,
    }
    assert len(prints) == 9
    assert fingerprint(first) == read_dataset(shop_log(1), SETTINGS).fingerprint
    unused = replace(results[0], meta={**results[0].meta, "stock": 4})
    assert fingerprint(replace(first, results=(unused, *results[1:]))) == fingerprint(first)


def test_batches_and_policy_versions_are_kept_in_order() -> None:
    """Batch ids and policy versions are distinct and in the order of the inputs."""
    inputs = [replace(one, batch_id=f"b{one.number % 2}") for one in shop_log(1)]
    dataset = read_dataset(inputs, SETTINGS)
    assert dataset.batch_ids == ("b1", "b0")
    assert dataset.policy_version == "test-1"


def test_inputs_are_read_once_and_lazily() -> None:
    """Every input is read exactly once, in order."""
    taken: list[int] = []

    def inputs() -> Iterator[TrainingInput]:
        for one in shop_log(1):
            taken.append(one.number)
            yield one

    read_dataset(inputs(), SETTINGS)
    assert taken == [one.number for one in shop_log(1)]


@pytest.mark.parametrize("position_bias", ["auto", "none", "rank_ctr", "pbm", "sdbn"])
def test_r16_few_inputs_are_refused_whichever_of_them_are_held_out(position_bias: str) -> None:
    """R16: one to three sessions are refused, also if all of them fall, by their ids, into the held-out sample."""
    for count in (1, 2, 3):
        for salt in range(20):
            few = [replace(one, session_id=f"{salt}-{one.session_id}") for one in list(shop_log(1))[:count]]
            with pytest.raises(FailedPrecondition, match="distinct training queries"):
                read_dataset(few, tiny_settings("unused", position_bias=position_bias))


@pytest.mark.parametrize(
    ("inputs", "changes", "words"),
    [
        ([], {}, "no input"),
        (list(shop_log(1))[:3], {}, "distinct training queries"),
        (list(shop_log(1)), {"item_template": "{nothing}"}, "no item has text"),
        (list(shop_log(1)), {"item_template": "{"}, "item template"),
        (list(shop_log(1)), {"held_out_after": SPLIT}, "session 's1' has no time"),
        (list(shop_log(1))[:30], {"early_stopping_patience": 1}, "validation queries to stop early by: "),
        (list(shop_log(1)), {"position_bias": "magic"}, "'magic' is unknown; there are `auto`, `none`, `rank_ctr`"),
        ([replace(one, results=(replace(one.results[0], grade=0.0),)) for one in shop_log(1)], {}, "has text: 0; "),
    ],
)
def test_r16_a_run_that_cannot_train_is_refused_with_the_reason(
    inputs: list[TrainingInput], changes: dict[str, object], words: str
) -> None:
    """R16: the reason says what is missing."""
    with pytest.raises(FailedPrecondition) as caught:
        read_dataset(inputs, tiny_settings("unused", **changes))
    assert caught.value.reason == "TRAINING_IMPOSSIBLE"
    assert words in caught.value.message


def test_a_canceled_run_ends_while_its_labels_are_made() -> None:
    """After the last input is read, a run that is canceled ends before its dataset is made, at its next question."""

    def canceled() -> None:
        raise Canceled

    with pytest.raises(Canceled):
        read_dataset(shop_log(1), SETTINGS, canceled)


def test_values_that_are_equal_and_not_the_same_keep_their_texts() -> None:
    """1, 1.0 and True are equal keys; a flag has no text, and a list as a value is allowed."""
    shown = [(f"i{place}", 1.0, {"title": value}) for place, value in enumerate([1, True, ["a", "b"], None, "one"])]
    dataset = read_dataset(enough(training_input("zebra", shown)), SETTINGS)
    assert dataset.texts[:3] == ["1", "a, b", "one"]
    [zebra] = [each for each in dataset.folds[0].training + dataset.folds[0].held_out if each.query == "zebra"]
    assert zebra.evidence.keys() == {0, 1, 2}
