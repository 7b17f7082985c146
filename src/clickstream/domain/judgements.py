"""Judgements by people: how relevant items are to queries (TREC's qrels)."""

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query with the grades of its judged objects by object id, from 0 (irrelevant) to `limits.MAX_GRADE`."""

    query: str
    grades: dict[str, int]


def packed(judged: Sequence[JudgedQuery]) -> tuple[str, bytes]:
    """The SHA-256 that identifies judgements, and their bytes for the store; the order of `judged` has no effect."""
    rows = sorted([each.query, sorted(each.grades.items())] for each in judged)
    content = json.dumps(rows, separators=(",", ":")).encode()
    return hashlib.sha256(content).hexdigest(), zlib.compress(content)


def unpacked(content: bytes) -> list[JudgedQuery]:
    """The judgements in the bytes that `packed` returned."""
    return [JudgedQuery(query, dict(grades)) for query, grades in json.loads(zlib.decompress(content))]
