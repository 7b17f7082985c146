"""Judgements of people: which items are how relevant to which queries (qrels)."""

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query, and its judged objects' grades by object id: 0 (irrelevant) to `limits.MAX_GRADE`."""

    query: str
    grades: dict[str, int]


def packed(judged: Sequence[JudgedQuery]) -> tuple[str, bytes]:
    """The SHA-256 that names judgements, and their bytes for a store; neither depends on any order."""
    rows = sorted([each.query, sorted(each.grades.items())] for each in judged)
    content = json.dumps(rows, separators=(",", ":")).encode()
    return hashlib.sha256(content).hexdigest(), zlib.compress(content)


def unpacked(content: bytes) -> list[JudgedQuery]:
    """The judgements in bytes that `packed` made."""
    return [JudgedQuery(query, dict(grades)) for query, grades in json.loads(zlib.decompress(content))]
