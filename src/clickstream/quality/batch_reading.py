"""What the checks of a single batch read beside its sums: positions, texts, and the queries of earlier batches."""

from collections import Counter
from collections.abc import Mapping, Sequence

import polars as pl

from clickstream.analytics.rollups import RollUps
from clickstream.contract.search_log import logged_search
from clickstream.dao.interface.analytics import RangeHead
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.analytics import Segments
from clickstream.domain.item_template import ItemTemplate

# Bounds: ranges whose showings are read, ranges of earlier batches whose queries are read, sessions whose texts are.
POSITION_RANGES, EARLIER_RANGES, TEXT_SESSIONS = 100, 1_000, 5_000


def positions(roll_ups: RollUps, heads: Sequence[RangeHead]) -> tuple[Mapping[str, int], int | None]:
    """Pairs of query and item, those seen at two or more positions, and the groups of connected positions.

    Two positions are connected if a pair was seen at both. Without connections, position bias cannot be told from
    relevance (Hager et al., ICTIR 2025, arXiv 2506.20501).

    Returns:
        The counts `pairs` and `swapped`, and the number of groups; None if nothing was shown.
    """
    frames = []
    for head in heads[:POSITION_RANGES]:
        queries = pl.concat([*roll_ups.range_searches([head], ("number", "query", "clickable"))])
        for part in roll_ups.range_parts([head]):
            shown = part.showings.select("number", "object", "place").join(
                queries.filter(pl.col("clickable") & (pl.col("query") != "")), on="number"
            )
            frames.append(shown.select(pl.struct("query", "object").hash(0).alias("pair"), "place").unique())
    if not frames:
        return {}, None
    places = pl.concat(frames).unique().group_by("pair").agg(pl.col("place").unique())
    count = places["place"].list.len()
    counts = {"pairs": places.height, "swapped": int((count > 1).sum())}
    return counts, _groups(places["place"].unique().to_list()) if places.height else None


def _groups(connected: Sequence[Sequence[int]]) -> int:
    """The number of groups of places, given sets of places that belong together."""
    parent: dict[int, int] = {}

    def root(place: int) -> int:
        while parent.setdefault(place, place) != place:
            place = parent[place]
        return place

    for first, *others in connected:
        for other in others:
            parent[root(other)] = root(first)
        root(first)
    return sum(place == above for place, above in parent.items())


def duplicate_texts(dao: ClickstreamDao, batch: int, template: ItemTemplate) -> Mapping[str, int]:
    """The distinct items with text in the first sessions of a batch, and those whose text another one has as well."""
    texts: dict[str, str] = {}
    after = 0
    while after < TEXT_SESSIONS:
        page = dao.sessions.page(batch, after, TEXT_SESSIONS - after, include_irrelevant=True)
        for session in page.sessions:
            try:
                search = logged_search(session, Segments(), with_metas=True)
            except ValueError:
                continue
            for object_id, meta in zip(search.objects, search.metas, strict=True):
                if object_id not in texts:
                    texts[object_id] = template.render(meta)
        if page.complete or not page.sessions:
            break
        after = page.sessions[-1].number
    counted = Counter(text for text in texts.values() if text)
    return {
        "text_items": counted.total(),
        "duplicate_texts": sum(count for count in counted.values() if count > 1),
    }


def repeated_queries(roll_ups: RollUps, batch: int, queries: pl.DataFrame) -> int:
    """The number of searches whose query an earlier batch has as well; of these, the newest ranges are read.

    Args:
        roll_ups: Reads the ranges of earlier batches.
        batch: The sequence number of the batch.
        queries: `query` and `searches`, one row per distinct query of the batch.
    """
    before: list[RangeHead] = []
    for sequence in range(batch - 1, 0, -1):
        before += reversed(roll_ups.batch_heads(sequence))
        if len(before) >= EARLIER_RANGES:
            break
    found = [frame.unique() for frame in roll_ups.range_searches(before[:EARLIER_RANGES], ("query",))]
    if not found:
        return 0
    return int(queries.join(pl.concat(found).unique(), on="query", how="semi")["searches"].sum())
