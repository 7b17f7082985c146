"""Simulated shoppers: what they search for, what they want, and what they do with what they see.

What is simulated, and how:

- A shopper wants a kind of item, often in a material or style, and says every second word
  in slang (`make_wants`).
- Relevance (`relevance`): 3 for the right kind with all that was asked for, 2 with half of it,
  1 for the right kind alone, 0 for every other kind.
- The shop's current search shows 12 places. Every second one, from the first, is the base model's
  ranking; the others are items of the department in which the shopper stands, drawn anew each time
  (`Shop.show`). Without such exploration nobody would ever see, so nobody would ever click, what
  the base model cannot find; a real shop has it in bestsellers, category pages and chance.
- What a shopper examines and clicks on the way down the page is `clickstream.simulation`'s reader,
  who clicks three in a hundred examined items in vain.
- Of the clicks on a relevance of 3 every third becomes a cart, else every twentieth; of the carts
  every second becomes a purchase.
- One visit in fifty is a robot's, which clicks on whatever stands there and is marked irrelevant;
  one in fifty is a category page (a payload search); shoppers who find nothing leave without any act.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from clickstream.demo.catalogue import KINDS, PLAIN, Item
from clickstream.demo.simulated_reader import simulate_clicks

# Queries and item texts in; per query the indices of all texts, the best first.
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
    """What a shopper looks for: the words typed and what is meant. Empty material or style: any."""

    query: str
    kind: str
    material: str = ""
    style: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """One search and what came of it: `shown` in order, `acts` as (event type, object id)."""

    number: int
    shopper: str
    query: str
    shown: Sequence[Item]
    acts: Sequence[tuple[str, str]]
    robot: bool = False
    category_page: bool = False


def make_wants(items: Sequence[Item], count: int, seed: int = 11) -> list[Want]:
    """`count` wants with different queries, each answered in full by at least one item.

    The same words come back in other company: a query that nobody typed before is made of words
    that others typed.
    """
    draw = random.Random(seed)
    wants: dict[str, Want] = {}
    while len(wants) < count:
        item = draw.choice(items)
        asked = [("", ""), (item.material, ""), ("", item.style), (item.material, item.style)]
        material, style = draw.choices(asked, [2, 3, 3, 2])[0]
        said = [_say(word, draw) for word in (style, material, item.kind) if word]
        query = " ".join(said if draw.random() < 0.7 else [said[-1], *said[:-1]])
        wants.setdefault(query, Want(query, item.kind, material, style))
    return list(wants.values())


def relevance(want: Want, item: Item) -> int:
    """The true grade of an item, 0 to 3."""
    if item.kind != want.kind:
        return 0
    met = [asked == has for asked, has in ((want.material, item.material), (want.style, item.style)) if asked]
    return 1 + round(2 * sum(met) / len(met)) if met else 3


class Shop:
    """The shop's current search, and the people and robots in front of it."""

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
    """What the search and the models read of an item: the default template over its meta."""
    return f"{item.title}. {item.text}"


def _say(word: str, draw: random.Random) -> str:
    return word if draw.random() < _SLANG_SHARE else PLAIN[word]
