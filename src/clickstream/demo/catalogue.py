"""The demo's shop: its items, and its customers' names for them.

Everything is made up. Item texts are plain English. Customers mix plain English with slang ("morvin velkor" for a
merino rain jacket). No item text contains slang, so only clicks show what it means.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of item: the customers' slang and plain words for it, and the titles, text and category of its items."""

    slang: str
    plain: str
    titles: tuple[str, ...]
    text: str
    category: str


@dataclass(frozen=True, slots=True)
class Quality:
    """A material or style: the customers' slang and plain word for it, and the word in titles and texts."""

    slang: str
    plain: str
    title: str


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the shop. `kind`, `material` and `style` are slang and stay hidden from every text."""

    object_id: str
    kind: str
    material: str
    style: str
    title: str
    text: str
    category: str

    @property
    def meta(self) -> Mapping[str, str]:
        """The item's data on a search page, for a result's meta."""
        return {"title": self.title, "text": self.text, "category": self.category}


KINDS: Sequence[Kind] = (
    Kind("velkor", "rain jacket", ("hooded rain jacket", "waterproof shell"), "Keeps heavy rain out.", "clothing"),
    Kind("snimby", "woolly hat", ("knitted beanie", "winter hat"), "Covers the ears.", "clothing"),
    Kind("drofta", "hiking trousers", ("trekking trousers", "walking pants"), "Stretches uphill.", "clothing"),
    Kind("plusk", "gloves", ("pair of gloves", "mittens"), "Warm fingers on cold days.", "clothing"),
    Kind("orrick", "slippers", ("house slippers", "indoor shoes"), "Soft soles for the floor.", "shoes"),
    Kind("tambrel", "hiking boots", ("ankle boots", "trekking boots"), "Grip on wet rock.", "shoes"),
    Kind("fenzo", "sandals", ("open sandals", "beach shoes"), "Airy straps for hot days.", "shoes"),
    Kind("quaddle", "backpack", ("daypack", "rucksack"), "Two straps and a chest belt.", "luggage"),
    Kind("gribbo", "suitcase", ("cabin trolley", "travel case"), "Four quiet wheels.", "luggage"),
    Kind("nesp", "purse", ("wallet", "coin pouch"), "Room for cards and coins.", "luggage"),
    Kind("galdine", "tent", ("two person tent", "dome tent"), "Up in five minutes.", "camping"),
    Kind("murf", "sleeping bag", ("mummy bag", "sleeping sack"), "Zips up to the chin.", "camping"),
    Kind("torvo", "camping stove", ("gas burner", "cooking stove"), "Boils a litre fast.", "camping"),
    Kind("lumrick", "lantern", ("camp light", "lamp"), "Light for a whole night.", "camping"),
    Kind("zapple", "water bottle", ("drinking bottle", "flask"), "Holds most of a litre.", "camping"),
    Kind("kettrin", "coffee maker", ("espresso pot", "coffee press"), "Four strong cups.", "kitchen"),
    Kind("spondle", "frying pan", ("skillet", "pan for the stove"), "Heats evenly.", "kitchen"),
    Kind("hask", "cutting board", ("chopping board", "carving board"), "With a groove for juice.", "kitchen"),
    Kind("wimbolt", "kitchen knife", ("chef's knife", "chopping blade"), "Slices without effort.", "kitchen"),
    Kind("yorbel", "lunch box", ("food container", "bento box"), "Closes tightly.", "kitchen"),
    Kind("dunnick", "armchair", ("reading chair", "lounge seat"), "Sits deep and wide.", "home"),
    Kind("frell", "blanket", ("throw", "sofa cover"), "For evenings on the couch.", "home"),
    Kind("mostrip", "curtain", ("window drape", "blackout curtain"), "Keeps the light outside.", "home"),
    Kind("ablen", "bookshelf", ("wall shelf", "shelving unit"), "Holds forty books.", "home"),
)

MATERIALS: Sequence[Quality] = (
    Quality("morvin", "merino", "merino wool"),
    Quality("teskit", "recycled", "recycled plastic"),
    Quality("cobrane", "leather", "leather"),
    Quality("lishpo", "bamboo", "bamboo"),
    Quality("ferrun", "steel", "stainless steel"),
    Quality("wexa", "cotton", "organic cotton"),
)

STYLES: Sequence[Quality] = (
    Quality("zunny", "ultralight", "ultralight"),
    Quality("pimlet", "for children", "kids"),
    Quality("faskin", "foldable", "folding"),
    Quality("hebbard", "luxury", "premium"),
    Quality("nimmo", "cheap", "budget"),
    Quality("halvix", "retro", "vintage style"),
)

# Slang → what customers say in plain words.
PLAIN: Mapping[str, str] = {
    **{kind.slang: kind.plain for kind in KINDS},
    **{quality.slang: quality.plain for quality in (*MATERIALS, *STYLES)},
}

_BRANDS = ("Northbay", "Halden", "Ostrava", "Pinecrest", "Lowfell", "Maribor")
_COLOURS = ("black", "red", "navy blue", "green", "grey", "sand", "orange", "white")
ITEMS_PER_KIND = 12


def make_catalogue(seed: int = 7) -> list[Item]:
    """The shop's 288 items: 12 of each kind, in materials, styles, brands and colours drawn from `seed`."""
    draw = random.Random(seed)
    items: list[Item] = []
    for kind in KINDS:
        pairs = [(material, style) for material in MATERIALS for style in STYLES]
        for material, style in draw.sample(pairs, ITEMS_PER_KIND):
            noun = draw.choice(kind.titles)
            items.append(
                Item(
                    object_id=f"item-{len(items):03}",
                    kind=kind.slang,
                    material=material.slang,
                    style=style.slang,
                    title=f"{draw.choice(_BRANDS)} {style.title} {noun}",
                    text=f"{kind.text} {material.title.capitalize()}, {draw.choice(_COLOURS)}.",
                    category=kind.category,
                )
            )
    return items
