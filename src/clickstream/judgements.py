"""Judgements of people: which items are how relevant to which queries (qrels)."""

import csv
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clickstream import limits


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


def read_trec(qrels: Path, queries: Path) -> list[JudgedQuery]:
    """Reads judgements as evaluation campaigns publish them.

    Negative grades, by which TREC marks junk, count as 0, and grades above `limits.MAX_GRADE` as that.
    Queries without a judgement are left out. Source: https://trec.nist.gov/data/qrels_eng/.

    Args:
        qrels: Lines `query-id iteration object-id grade`, apart by white space.
        queries: Lines `query-id <tab> text`.

    Raises:
        ValueError: A line is malformed, or a judged query has no text; names the file and line.
        OSError: A file cannot be read.
    """
    texts: dict[str, str] = {}
    with queries.open(encoding="utf-8-sig", newline="") as lines:
        for number, row in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), 1):
            if not row:
                continue
            if len(row) != 2 or not row[1].strip():
                raise ValueError(f"{queries}, line {number}: must be `query-id <tab> text`")
            texts[row[0].strip()] = row[1].strip()
    grades: dict[str, dict[str, int]] = {}
    with qrels.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                query_id, _, object_id, grade = line.split()
                value = int(grade)
            except ValueError:
                raise ValueError(f"{qrels}, line {number}: must be `query-id iteration object-id grade`") from None
            if query_id not in texts:
                raise ValueError(f"{qrels}, line {number}: query {query_id!r} has no text in {queries}")
            grades.setdefault(query_id, {})[object_id] = min(max(value, 0), limits.MAX_GRADE)
    return [JudgedQuery(texts[query_id], of_query) for query_id, of_query in grades.items()]
