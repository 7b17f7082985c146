from pathlib import Path

import pytest

from clickstream.cli.qrels import read_trec
from clickstream.domain.judgements import JudgedQuery, packed, unpacked

JUDGED = [JudgedQuery("red shoe", {"a": 1, "b": 0}), JudgedQuery("lamp", {"c": 4})]


def files(folder: Path, qrels: str, queries: str = "q1\tred shoe\nq2\tlamp\n") -> tuple[Path, Path]:
    """A qrels file and its queries."""
    paths = folder / "qrels.txt", folder / "queries.tsv"
    for path, text in zip(paths, (qrels, queries), strict=True):
        path.write_text(text, "utf-8")
    return paths


def test_packed_judgements_come_back() -> None:
    """Unpacked judgements equal those that were packed."""
    assert sorted(unpacked(packed(JUDGED)[1]), key=str) == sorted(JUDGED, key=str)


def test_the_same_judgements_have_one_name() -> None:
    """Neither the order of queries nor of objects changes the SHA-256; a grade, an object or a query does."""
    again = [JUDGED[1], JudgedQuery("red shoe", {"b": 0, "a": 1})]
    assert packed(again)[0] == packed(JUDGED)[0]
    others = [
        [*JUDGED[:1], JudgedQuery("lamp", {"c": 3})],
        [*JUDGED[:1], JudgedQuery("lamp", {"d": 4})],
        [*JUDGED[:1], JudgedQuery("lamps", {"c": 4})],
        JUDGED[:1],
    ]
    assert len({packed(each)[0] for each in [JUDGED, *others]}) == 5


def test_a_trec_qrels_file_is_read_with_its_queries(tmp_path: Path) -> None:
    """Ids join the files; white space of any kind, empty lines and a byte order mark are taken as they come."""
    paths = files(
        tmp_path, "\ufeffq1 0 a 1\nq1\t0\tb\t0\n\nq2 Q0  c 4\n", 'q1\tred shoe\n\nq2\t"lamp" \nq3\tunjudged\n'
    )
    assert read_trec(*paths) == [JUDGED[0], JudgedQuery('"lamp"', {"c": 4})]


def test_grades_beyond_the_scale_are_cut_to_it(tmp_path: Path) -> None:
    """TREC marks junk with -2; whole percentages are cut to the highest grade."""
    assert read_trec(*files(tmp_path, "q1 0 a -2\nq1 0 b 99\n")) == [JudgedQuery("red shoe", {"a": 0, "b": 10})]


@pytest.mark.parametrize(
    ("qrels", "queries", "where"),
    [
        ("q1 0 a 1\nq1 a 1\n", "q1\tred\n", "qrels.txt, line 2"),
        ("q1 0 a good\n", "q1\tred\n", "qrels.txt, line 1"),
        ("q9 0 a 1\n", "q1\tred\n", "'q9' has no text"),
        ("q1 0 a 1\n", "q1 red\n", "queries.tsv, line 1"),
        ("q1 0 a 1\n", "q1\t \n", "queries.tsv, line 1"),
        ("q1 0 a 1\n", "q1\tred\tshoe\n", "queries.tsv, line 1"),
        ("q1 0 a 1\n", "q1\tred\nq1\tlamp\n", "queries.tsv, line 2"),
        ("q1 0 a 1\n\nq1 0 a 0\n", "q1\tred\n", "qrels.txt, line 3"),
        ("", "q1\tred\n", "qrels.txt: has no judgement"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, qrels: str, queries: str, where: str) -> None:
    """R7: the message says where the fault is."""
    with pytest.raises(ValueError, match=where):
        read_trec(*files(tmp_path, qrels, queries))


@pytest.mark.parametrize("name", ["qrels.txt", "queries.tsv"])
def test_a_line_that_is_no_text_is_named(tmp_path: Path, name: str) -> None:
    """R7: a file in another encoding is refused at its first such line."""
    paths = files(tmp_path, "q1 0 a 1\n")
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"\xff\n")
    with pytest.raises(ValueError, match=rf"{name}, line \d: is not UTF-8"):
        read_trec(*paths)


def test_the_same_line_twice_and_a_long_one_are_no_fault(tmp_path: Path) -> None:
    """What only repeats contradicts nothing, and how long a query may be is for the server to say."""
    long = "x" * 200_000
    assert read_trec(*files(tmp_path, "q1 0 a 1\nq1 0 a 1\n", f"q1\t{long}\n")) == [JudgedQuery(long, {"a": 1})]
