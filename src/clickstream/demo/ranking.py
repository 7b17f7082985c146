"""Ranking by a model folder, for the demo's current search and for its comparison."""

from collections.abc import Sequence

from clickstream.demo.shoppers import Rank

_MAX_TOKENS = 128


def ranker(folder: str) -> Rank:
    """The full ranking by cosine under the model in this folder. Loading it takes seconds.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the folder holds no model that loads.
    """
    # Imported here: torch takes seconds, and whoever plays with a ranking of his own needs none of it.
    from clickstream.training.encoder.encoder import embed, load_encoder

    encoder = load_encoder(folder, _MAX_TOKENS, "cpu")

    def rank(queries: Sequence[str], texts: Sequence[str]) -> list[list[int]]:
        items = embed(encoder, "item", texts, lambda: None)
        asked = embed(encoder, "query", queries, lambda: None)
        order: list[list[int]] = (asked @ items.T).argsort(dim=1, descending=True, stable=True).tolist()
        return order

    return rank
