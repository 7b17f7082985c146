"""Ranks items by a model folder, for the shop's current search and for the comparison."""

from collections.abc import Sequence

from clickstream.demo.shoppers import Rank

_MAX_TOKENS = 128


def ranker(folder: str) -> Rank:
    """Ranks all items for each query by the cosine of their vectors. Loading the model takes seconds.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the folder has no model that can be loaded.
    """
    # Imported here: torch takes seconds, and a story with another ranking needs none of it.
    from clickstream.training.encoder.encoder import embed, load_encoder

    encoder = load_encoder(folder, _MAX_TOKENS, "cpu")

    def rank(queries: Sequence[str], texts: Sequence[str]) -> list[list[int]]:
        items = embed(encoder, "item", texts, lambda: None)
        vectors = embed(encoder, "query", queries, lambda: None)
        order: list[list[int]] = (vectors @ items.T).argsort(dim=1, descending=True, stable=True).tolist()
        return order

    return rank
