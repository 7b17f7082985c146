"""The forms in which UBI files come: every one gives the same documents."""

import gzip
import json
from pathlib import Path

import pytest

from clickstream.ubi.file_forms import lines_of
from clickstream.ubi.records import EventLine, QueryLine, read

QUERY = {
    "query_id": "q1",
    "user_query": "red\u2028shoes",
    "query_response_hit_ids": ["a", "b"],
    "timestamp": 1717527762059,
}
CLICK = {
    "action_name": "click",
    "query_id": "q1",
    "timestamp": 1717527762060,
    "event_attributes": {"object": {"object_id": "a"}, "position": {"ordinal": 0}},
}
LINES = "\n".join(map(json.dumps, (QUERY, CLICK)))
FORMS = {
    "lines": LINES,
    "array": json.dumps([QUERY, CLICK]),
    "pretty array": json.dumps([QUERY, CLICK], indent=2),
    "pretty objects": json.dumps(QUERY, indent=2) + "\n" + json.dumps(CLICK, indent=2),
    "dump": "\n".join(
        json.dumps({"_index": index, "_id": "1", "_source": document})
        for index, document in (("ubi_queries", QUERY), ("ubi_events-000002", CLICK))
    ),
    "tabs": f"ubi_queries\t{json.dumps(QUERY)}\n.ubi_events_2025.01\t{json.dumps(CLICK)}",
    "bulk": "\n".join(
        json.dumps(line)
        for line in (
            {"index": {"_index": "ubi_queries-2025.01", "_id": "1"}},
            QUERY,
            {"create": {"_index": "ubi_events", "_id": "1"}},
            CLICK,
        )
    ),
}


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "byte order mark"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_documents(tmp_path: Path, form: str, mark: bytes, compressed: bool) -> None:
    """The search and the click are read from each form, compressed or not, with a byte order mark or without."""
    content = mark + FORMS[form].encode()
    file = tmp_path / "ubi"
    file.write_bytes(gzip.compress(content) if compressed else content)
    read_bytes: list[int] = []
    query, click = read(lines_of(file, read_bytes.append))
    assert isinstance(query, QueryLine)
    assert isinstance(click, EventLine)
    assert (query.query_id, query.text, query.hit_ids) == ("q1", "red\u2028shoes", ("a", "b"))
    assert (click.action, click.object_id, click.ordinal) == ("click", "a", 0)
    assert sum(read_bytes) == file.stat().st_size


def test_a_broken_array_gives_what_comes_before_the_break(tmp_path: Path) -> None:
    """Objects before the break are read; the rest is named, line by line, and nothing is raised."""
    file = tmp_path / "ubi"
    file.write_text(json.dumps([QUERY])[:-1] + ', {"query_id": \n oops]')
    query, *others = read(lines_of(file))
    assert isinstance(query, QueryLine)
    assert {each.reason for each in others} == {"not valid JSON"}  # type: ignore[union-attr]


def test_a_cut_gzip_file_says_so(tmp_path: Path) -> None:
    """Half a gzip file is an error of the file, with its name."""
    file = tmp_path / "ubi.gz"
    file.write_bytes(gzip.compress(LINES.encode() * 1_000)[:-20])
    with pytest.raises(OSError, match=r"ubi\.gz ends in the middle"):
        list(lines_of(file))


def test_an_empty_file_has_no_document(tmp_path: Path) -> None:
    """Nothing, white space and an empty array have no document."""
    for content in ("", " \n\n", "[]"):
        file = tmp_path / "ubi"
        file.write_text(content)
        assert list(read(lines_of(file))) == []
