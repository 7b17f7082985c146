"""Simulated shoppers: what they search for, what they want, and what they do with what they see.

The simulation:

- A shopper wants a kind of item, often in a material or style, and says every second word in slang (`make_wants`).
- Relevance (`relevance`) is 3 for the right kind with everything that was asked for, 2 with half of it, 1 for the right
  kind alone, and 0 for every other kind.
- The shop's current search shows 12 places. Every second place, from the first on, is the base model's ranking. The
  others are items of the shopper's department, drawn anew each time (`Shop.show`). Without such exploration no shopper
  would see, or click, what the base model cannot find; a real shop explores by bestsellers, category pages and chance.
- `clickstream.demo.simulated_reader` decides which places a shopper examines and clicks. Three in a hundred examined
  items are clicked by mistake.
- Of the clicks on relevance 3, every third becomes a cart; of all others, every twentieth. Of the carts, every second
  becomes a purchase.
- One visit in fifty is a robot's, which clicks at random and is marked irrelevant. One in fifty is a category page (a
  payload search). Shoppers who find nothing leave without any act.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from clickstream.demo.catalogue import KINDS, PLAIN, Item
from clickstream.demo.simulated_reader import simulate_clicks

# (queries, item texts) → for each query the indices of all texts, the best first.
Rank = Callable[[Sequence[str], Sequence[str]], list[list[int]]]

PLACES = 12
_SLANG_SHARE = 0.5
_BEST = 3
_NOISE = 0.03
_ROBOTS = 0.02
_CATEGORY_PAGES = 0.02
_CATEGORY: Mapping[str, str] = {kind.slang: kind.category for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Want:
    """What a shopper looks for: the query, and its meaning. An empty material or style means any."""

    query: str
    kind: str
    material: str = ""
    style: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """One search: the items in shown order, and the shopper's acts as (event type, object id)."""

    number: int
    shopper: str
    query: str
    shown: Sequence[Item]
    acts: Sequence[tuple[str, str]]
    robot: bool = False
    category_page: bool = False


def make_wants(items: Sequence[Item], count: int, seed: int = 11) -> list[Want]:
    """`count` wants with different queries. For each, at least one item has relevance 3.

    Queries share words: a new query is made of words that occur in others.
    """
    draw = random.Random(seed)
    wants: dict[str, Want] = {}
    while len(wants) < count:
        item = draw.choice(items)
        asked = [("", ""), (item.material, ""), ("", item.style), (item.material, item.style)]
        material, style = draw.choices(asked, [2, 3, 3, 2])[0]
        words = [_slang_or_plain(word, draw) for word in (style, material, item.kind) if word]
        query = " ".join(words if draw.random() < 0.7 else [words[-1], *words[:-1]])
        wants.setdefault(query, Want(query, item.kind, material, style))
    return list(wants.values())


def relevance(want: Want, item: Item) -> int:
    """The true grade of an item, 0 to 3."""
    if item.kind != want.kind:
        return 0
    met = [asked == has for asked, has in ((want.material, item.material), (want.style, item.style)) if asked]
    return 1 + round(2 * sum(met) / len(met)) if met else 3


class Shop:
    """The shop's current search, with the people and robots who use it."""

    def __init__(self, items: Sequence[Item], wants: Sequence[Want], rank: Rank, seed: int = 13) -> None:
        self._items = items
        self._wants = wants
        self._ranked = rank([want.query for want in wants], [text_of(item) for item in items])
        self._draw = random.Random(seed)

    def visits(self, per_want: int) -> Iterator[Visit]:
        """Every want `per_want` times, in mixed order; the same shop yields the same visits."""
        order = [place for place in range(len(self._wants)) for _ in range(per_want)]
        self._draw.shuffle(order)
        for number, place in enumerate(order):
            shopper = f"shopper-{self._draw.randrange(len(order) // 4 + 1):04}"
            want, chance = self._wants[place], self._draw.random()
            if chance < _CATEGORY_PAGES:
                yield self._category_page(number, shopper, want)
                continue
            shown = self.show(place)
            if chance < _CATEGORY_PAGES + _ROBOTS:
                acts = [("click", item.object_id) for item in shown if self._draw.random() < 0.7]
                yield Visit(number, "robot", want.query, shown, acts, robot=True)
            else:
                yield Visit(number, shopper, want.query, shown, self._acts(want, shown))

    def show(self, place: int) -> list[Item]:
        """One result page for the want at this index."""
        ranked = iter(self._ranked[place])
        category = _CATEGORY[self._wants[place].kind]
        department = [item for item in self._items if item.category == category]
        self._draw.shuffle(department)
        explored = iter(department)
        shown: dict[str, Item] = {}
        while len(shown) < PLACES:
            item = next(explored) if len(shown) % 2 else self._items[next(ranked)]
            shown.setdefault(item.object_id, item)
        return list(shown.values())

    def _acts(self, want: Want, shown: Sequence[Item]) -> list[tuple[str, str]]:
        grades = [relevance(want, item) for item in shown]
        acts = []
        for place in simulate_clicks(grades, self._draw, noise=_NOISE, best_grade=_BEST):
            acts.append(("click", shown[place].object_id))
            if self._draw.random() < (1 / 3 if grades[place] == _BEST else 1 / 20):
                acts.append(("add_to_cart", shown[place].object_id))
                if self._draw.random() < 1 / 2:
                    acts.append(("purchase", shown[place].object_id))
        return acts

    def _category_page(self, number: int, shopper: str, want: Want) -> Visit:
        shown = [item for item in self._items if item.kind == want.kind][:PLACES]
        acts = [("click", self._draw.choice(shown).object_id)]
        return Visit(number, shopper, "", shown, acts, category_page=True)


def text_of(item: Item) -> str:
    """The text of an item for search and models: the default template, filled from its meta."""
    return f"{item.title}. {item.text}"


def _slang_or_plain(word: str, draw: random.Random) -> str:
    return word if draw.random() < _SLANG_SHARE else PLAIN[word]
