from collections import Counter
from collections.abc import Sequence

import pytest

from clickstream.demo.catalogue import PLAIN, Item, make_catalogue
from clickstream.demo.shoppers import PLACES, Shop, Want, make_wants, relevance

ITEMS = make_catalogue()


def as_listed(queries: Sequence[str], texts: Sequence[str]) -> list[list[int]]:
    """A ranking without any knowledge: the catalogue's order."""
    return [list(range(len(texts))) for _ in queries]


def item(kind: str, material: str, style: str) -> Item:
    """An item of which only the hidden truth matters."""
    return Item("i", kind, material, style, "t", "x", "c")


def test_queries_are_all_different_and_repeatable():
    """Wants depend on the seed alone, and more wants begin with the same ones."""
    wants = make_wants(ITEMS, 260)
    assert len({want.query for want in wants}) == 260
    assert make_wants(ITEMS, 200) == wants[:200]


def test_held_out_searches_share_words_but_not_the_text():
    """Every slang word of the never-played searches was played in another search; none of their texts was."""
    wants = make_wants(ITEMS, 260)
    played = {word for want in wants[:200] for word in want.query.split()}
    never = {word for want in wants[200:] for word in want.query.split()}
    assert never & set(PLAIN) <= played
    assert {want.query for want in wants[:200]}.isdisjoint(want.query for want in wants[200:])


def test_every_want_has_a_full_answer():
    """Every want has an item of relevance 3: no shopper asks for what the shop does not have."""
    assert all(max(relevance(want, item) for item in ITEMS) == 3 for want in make_wants(ITEMS, 260))


@pytest.mark.parametrize(
    ("want", "grade"),
    [
        (Want("q", "velkor"), 3),
        (Want("q", "velkor", "wexa", "zunny"), 3),
        (Want("q", "velkor", "wexa", "nimmo"), 2),
        (Want("q", "velkor", "morvin", "nimmo"), 1),
        (Want("q", "velkor", "morvin"), 1),
        (Want("q", "murf", "wexa", "zunny"), 0),
    ],
)
def test_relevance_counts_what_was_asked_for(want, grade):
    """3 for everything that was asked for, 2 for half of it, 1 for the kind alone, 0 for another kind."""
    assert relevance(want, item("velkor", "wexa", "zunny")) == grade


def test_clicks_follow_relevance():
    """People click relevant items far more often than others; robots do not."""
    wants = {want.query: want for want in make_wants(ITEMS, 100)}
    shown: Counter[int] = Counter()
    clicked: Counter[int] = Counter()
    for visit in Shop(ITEMS, list(wants.values()), as_listed).visits(20):
        if visit.robot or visit.category_page:
            continue
        for item in visit.shown[:4]:
            grade = relevance(wants[visit.query], item)
            shown[grade] += 1
            clicked[grade] += ("click", item.object_id) in visit.acts
    rates = [clicked[grade] / shown[grade] for grade in (0, 1, 3)]
    assert rates[0] < 0.1
    assert rates[0] < rates[1] < rates[2]


def test_a_page_alternates_between_the_ranking_and_the_department():
    """Twelve different items: ranked ones at 0, 2, 4 …, items of the shopper's department between them."""
    want = make_wants(ITEMS, 1)[0]
    shop = Shop(ITEMS, [want], as_listed)
    shown = shop.show(0)
    department = next(item.category for item in ITEMS if item.kind == want.kind)
    assert len({item.object_id for item in shown}) == len(shown) == PLACES
    assert shown[0] == ITEMS[0]
    assert {item.category for item in shown[1::2]} == {department}
    assert [item.object_id for item in shown[0::2]] == sorted(item.object_id for item in shown[0::2])


def test_visits_are_a_function_of_the_shop():
    """The same shop plays the same visits, each want equally often, numbered from 0."""
    wants = make_wants(ITEMS, 20)
    visits = list(Shop(ITEMS, wants, as_listed).visits(10))
    assert visits == list(Shop(ITEMS, wants, as_listed).visits(10))
    assert [visit.number for visit in visits] == list(range(200))
    by_query = Counter(visit.query for visit in visits if not visit.category_page)
    assert by_query.total() + sum(visit.category_page for visit in visits) == 200
    assert set(by_query) == {want.query for want in wants}


def test_visits_have_every_case_that_conversion_distinguishes():
    """Robots, category pages, shoppers without any act, carts and purchases all occur."""
    visits = list(Shop(ITEMS, make_wants(ITEMS, 100), as_listed).visits(20))
    assert 10 < sum(visit.robot for visit in visits) < 90
    assert 10 < sum(visit.category_page for visit in visits) < 90
    assert sum(not visit.acts for visit in visits) > 100
    kinds = Counter(kind for visit in visits if not visit.robot for kind, _ in visit.acts)
    assert kinds["click"] > kinds["add_to_cart"] > kinds["purchase"] > 0


def test_acts_are_on_shown_items():
    """R12: all acts are on shown items; a cart follows a click, and a purchase follows a cart."""
    for visit in Shop(ITEMS, make_wants(ITEMS, 50), as_listed).visits(10):
        assert {object_id for _, object_id in visit.acts} <= {item.object_id for item in visit.shown}
        acts = set(visit.acts)
        assert all(("click", object_id) in acts for _, object_id in acts)
        assert all(("add_to_cart", object_id) in acts for kind, object_id in acts if kind == "purchase")


def test_a_category_page_has_no_query():
    """A payload search has no query text, and shows items of one kind."""
    pages = [visit for visit in Shop(ITEMS, make_wants(ITEMS, 100), as_listed).visits(10) if visit.category_page]
    assert pages
    assert all(visit.query == "" and len({item.kind for item in visit.shown}) == 1 for visit in pages)
