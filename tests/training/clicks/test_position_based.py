"""The position-based model learns from a log how attention fell with the position when the log was made."""

import numpy as np
import pytest
from support.plain_click_models import plain_attention
from support.simulated_log import LoggedSession, Showing, counted, has_act, sessions

from clickstream.training.clicks import em_blocks, position_based
from clickstream.training.clicks.click_log import Counts
from clickstream.training.clicks.position_based import Attention
from clickstream.training.clicks.position_based import learn_attention as learn
from clickstream.training.progress import Canceled


def learn_attention(log: Counts) -> Attention:
    """What a run learns that nobody cancels."""
    return learn(log, lambda: None)


def sessions_in(log: Counts, attention: Attention) -> float:
    """The estimated sessions of all queries, logged or not."""
    _, first = np.unique(log.pairs.query, return_index=True)
    return float(attention.per_logged[first] @ log.sessions)


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("shuffled", [False, True], ids=["always the same lists", "shuffled lists"])
def test_r18_attention_is_learned_although_better_items_stand_higher(decay: float, shuffled: bool) -> None:
    """R18: it is learned from fixed and from shuffled lists, and from sessions with an act only."""
    seen, _ = sessions(lambda place: (place + 1) ** -decay, queries=150, shuffled=shuffled)
    assert learn_attention(counted(seen)).decay == pytest.approx(decay, abs=0.25)


@pytest.mark.parametrize("first_decays", [(1.0, 2.0), (2.0, 1.0)])
def test_of_several_optima_the_likeliest_is_taken(
    first_decays: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a first decay of 1, EM ends at 0.6 on this log, and from 2 at the truth, which is taken in either order."""
    seen, _ = sessions(lambda place: (place + 1) ** -2.0, queries=10, per_query=100)
    monkeypatch.setattr(position_based, "FIRST_DECAYS", first_decays)
    assert learn_attention(counted(seen)).decay == pytest.approx(2.0, abs=0.25)


def test_missing_sessions_are_counted_in() -> None:
    """A fifth of the sessions have no act and are not logged; the estimate includes them."""
    seen, _ = sessions(lambda place: (place + 1) ** -1.5, queries=150)
    log = counted(seen)
    estimated = sessions_in(log, learn_attention(log))
    assert len(seen) < 0.8 * 150 * 50
    assert estimated == pytest.approx(150 * 50, rel=0.1)
    assert estimated > 1.1 * len(seen)


@pytest.mark.parametrize("logged", [0.0, 0.01, 0.3, 1.0])
def test_sessions_without_an_act_are_counted_once_whatever_share_of_them_is_logged(logged: float) -> None:
    """With none, one in a hundred, some or all of them logged, the estimates of sessions and attention are the same."""
    made, _ = sessions(lambda place: (place + 1) ** -1.5, queries=150, with_act=False)
    kept = [each for number, each in enumerate(made) if has_act(each) or number * 37 % 100 < 100 * logged]
    log = counted(kept)
    attention = learn_attention(log)
    assert sessions_in(log, attention) == pytest.approx(len(made), rel=0.1)
    assert attention.decay == pytest.approx(1.5, abs=0.25)


def test_attraction_orders_items_of_a_query_by_their_true_attraction() -> None:
    """The mean attraction of the best items is far above that of the worst, at any position."""
    seen, truth = sessions(lambda place: 1 / (place + 1), queries=150)
    log = counted(seen)
    learned = learn_attention(log).attraction.tolist()
    levels = [truth[query][item] for query, item in zip(log.pairs.query.tolist(), log.pairs.item.tolist(), strict=True)]
    best, worst = (
        [attraction for attraction, level in zip(learned, levels, strict=True) if level == wanted]
        for wanted in (0.9, 0.05)
    )
    assert sum(best) / len(best) > 3 * sum(worst) / len(worst)


@pytest.mark.parametrize(
    "log", [counted([]), counted([LoggedSession(0, [Showing(1, 0, 0.0)])])], ids=["empty", "no act"]
)
def test_a_log_without_acts_teaches_nothing(log: Counts) -> None:
    """The decay stays within its bounds, and nothing is divided by 0."""
    assert 0 <= learn_attention(log).decay <= 3


@pytest.mark.parametrize("shuffled", [False, True])
def test_r18_blocks_of_arrays_learn_what_plain_loops_learn(shuffled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """R18: over several blocks, decay and estimated sessions are those of the formulas in plain loops, to 1e-9."""
    monkeypatch.setattr(position_based, "FIRST_DECAYS", (1.0,))
    monkeypatch.setattr(position_based, "MAX_ROUNDS", 12)
    monkeypatch.setattr(em_blocks, "BLOCK_CELLS", 40)
    seen, _ = sessions(lambda place: 1 / (place + 1), queries=12, per_query=9, shuffled=shuffled)
    log = counted(seen)
    assert len(em_blocks.blocks_of(log)) > 2
    attention = learn_attention(log)
    decay, estimated = plain_attention(seen, 1.0, 12)
    _, first = np.unique(log.pairs.query, return_index=True)
    assert attention.decay == pytest.approx(decay, abs=1e-9)
    assert attention.per_logged[first] * log.sessions == pytest.approx(
        [estimated[q] for q in sorted(estimated)], rel=1e-9
    )


def test_a_run_is_asked_whether_it_may_go_on_with_every_block_of_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """EM ends at once when the run is canceled, in any round; a block takes milliseconds."""
    monkeypatch.setattr(em_blocks, "BLOCK_CELLS", 100)
    log = counted(sessions(lambda place: 1 / (place + 1))[0])
    blocks, asked = len(em_blocks.blocks_of(log)), 0

    def tick() -> None:
        nonlocal asked
        asked += 1
        if asked == 3 * blocks + 2:
            raise Canceled

    with pytest.raises(Canceled):
        learn(log, tick)
    assert blocks > 3
    assert asked == 3 * blocks + 2
