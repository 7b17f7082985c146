"""The text of each item, by a template, and as few renderings as there are distinct texts."""

from array import array
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clickstream.domain.item_template import ItemTemplate

# Texts that are remembered at most, so that memory does not grow with an item's changing texts.
REMEMBERED = 1_000_000


class ItemTexts:
    """The latest text of each item, by number; an item whose latest meta give no text keeps the text before."""

    def __init__(self, template: ItemTemplate) -> None:
        self._template = template
        self._rendered: dict[object, str] = {}
        self._texts: list[str] = []
        self._hashes = array("Q")
        self._id_hashes = array("Q")

    def hashes(
        self, new_ids: Sequence[str], items: Sequence[int], metas: Sequence[Mapping[str, Any]]
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Notes the items' texts.

        Args:
            new_ids: The object ids of items that were not shown before, in the order of their numbers.
            items: Numbers of shown items.
            metas: The item data of each of them.

        Returns:
            64-bit hashes of the object id and of the text of each shown item. That of an empty text is 0.
        """
        self._texts += [""] * len(new_ids)
        self._hashes.extend([0] * len(new_ids))
        self._id_hashes.extend(map(_hash, new_ids))
        of_ids = np.array(self._id_hashes, np.uint64)[items]
        rendered = self._render(metas)
        if rendered == list(map(self._texts.__getitem__, items)):  # most texts are those of before
            return of_ids, np.array(self._hashes, np.uint64)[items]
        texts, hashes = self._texts, self._hashes
        found = array("Q")
        for item, text in zip(items, rendered, strict=True):
            if text and texts[item] != text:
                texts[item], hashes[item] = text, _hash(text)
            found.append(hashes[item] if text else 0)
        # A copy: an array that lends its memory cannot grow.
        return of_ids, np.array(found, np.uint64)

    def distinct(self) -> tuple[list[str], NDArray[np.int64]]:
        """The distinct texts, and the index into them of each item; -1 for an item without text."""
        numbers: dict[str, int] = {}
        rows = [numbers.setdefault(text, len(numbers)) if text else -1 for text in self._texts]
        return list(numbers), np.array(rows, np.int64)

    def _render(self, metas: Sequence[Mapping[str, Any]]) -> list[str]:
        if len(self._rendered) > REMEMBERED:
            self._rendered.clear()
        rendered, render = self._rendered, self._template.render
        names = self._template.plain_names
        if len(names) == 1:
            [name] = names
            keys: list[Any] = [meta.get(name) for meta in metas]
        elif names:
            keys = [tuple([meta.get(name) for name in names]) for meta in metas]
        else:
            return [render(meta) for meta in metas]
        try:
            texts: list[Any] = list(map(rendered.get, keys))
        except TypeError:  # a list or an object, which cannot be a key
            return [render(meta) for meta in metas]
        for place, text in enumerate(texts):
            if text is None:
                key = keys[place]
                texts[place] = rendered.get(key) or render(metas[place])
                # Only strings: 1, 1.0 and True are the same key, and different texts.
                if all(isinstance(part, str) or part is None for part in (key if isinstance(key, tuple) else (key,))):
                    rendered[key] = texts[place]
        return texts


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") or 1
