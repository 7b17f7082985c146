"""Judgements in TREC's format, for the command line."""

import re
from collections.abc import Iterator
from pathlib import Path

from clickstream.domain import limits
from clickstream.domain.judgements import JudgedQuery

_GRADE = re.compile("[+-]?[0-9]+")


def read_trec(qrels: Path, queries: Path) -> list[JudgedQuery]:
    """Reads judgements in the format in which evaluation campaigns publish them.

    A negative grade, by which TREC marks junk, counts as 0; a grade above `limits.MAX_GRADE` counts as that one.
    Queries without a judgement are left out. Source: https://trec.nist.gov/data/qrels_eng/.

    Args:
        qrels: Lines `query-id iteration object-id grade`, separated by white space.
        queries: Lines `query-id <tab> text`.

    Raises:
        ValueError: A line is malformed, contradicts an earlier one or names a query without a text; the message has
            the file and the line. Or the file has no judgement at all.
        OSError: A file cannot be read.
    """
    texts: dict[str, str] = {}
    for number, line in _lines(queries):
        query_id, _, text = (part.strip() for part in line.partition("\t"))
        if not query_id or not text or "\t" in text:
            raise ValueError(f"{queries}, line {number}: must be `query-id <tab> text`")
        if texts.setdefault(query_id, text) != text:
            raise ValueError(f"{queries}, line {number}: query {query_id!r} has another text in an earlier line")
    grades: dict[str, dict[str, int]] = {}
    for number, line in _lines(qrels):
        try:
            query_id, _, object_id, given = line.split()
            if not _GRADE.fullmatch(given):  # int() also takes `1_0`
                raise ValueError
            grade = min(max(int(given), 0), limits.MAX_GRADE)
        except ValueError:
            raise ValueError(f"{qrels}, line {number}: must be `query-id iteration object-id grade`") from None
        if query_id not in texts:
            raise ValueError(f"{qrels}, line {number}: query {query_id!r} has no text in {queries}")
        if grades.setdefault(query_id, {}).setdefault(object_id, grade) != grade:
            raise ValueError(
                f"{qrels}, line {number}: {object_id!r} has another grade for query {query_id!r} in an earlier line"
            )
    if not grades:
        raise ValueError(f"{qrels}: has no judgement")
    return [JudgedQuery(texts[query_id], of_query) for query_id, of_query in grades.items()]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that are not blank, with their numbers from 1."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}, line {number}: is not UTF-8") from error
            if text.strip():
                yield number, text
