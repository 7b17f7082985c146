"""Every form in which UBI documents are written gives the same sessions."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from support.scripted import InMemoryService, serving

from clickstream.transfer.account import ImportAccount
from clickstream.ubi.importer import import_ubi

QUERIES = [
    {"query_id": f"q{n}", "user_query": "shoes {red", "query_response_hit_ids": ["a", "b"], "timestamp": 1737703890 + n}
    for n in range(3)
]
EVENTS = [
    {
        "action_name": "click",
        "query_id": f"q{n}",
        "timestamp": 1737703900 + n,
        "event_attributes": {"object": {"object_id": "b", "description": 'a "quoted\\ }text'}},
    }
    for n in range(3)
]
DOCUMENTS = [("ubi_events", "e0", EVENTS[0])] + [
    (index, f"{index}{n}", document)
    for index, some in (("ubi_queries", QUERIES), ("ubi_events", EVENTS))
    for n, document in enumerate(some)
    if document is not EVENTS[0]
]


def plain(documents: list[tuple[str, str, dict]]) -> str:
    """One document per line."""
    return "".join(json.dumps(document) + "\n" for _, _, document in documents)


def bulk(documents: list[tuple[str, str, dict]]) -> str:
    """An action line before each document."""
    return "".join(
        json.dumps({"index": {"_index": index, "_id": key}}) + "\n" + json.dumps(document) + "\n"
        for index, key, document in documents
    )


FORMS: dict[str, Callable[[list[tuple[str, str, dict]]], str | bytes]] = {
    "lines": plain,
    "bulk": bulk,
    "windows": lambda documents: plain(documents).replace("\n", "\r\n"),
    "no newline at the end": lambda documents: plain(documents).rstrip(),
    "array": lambda documents: json.dumps([document for *_, document in documents]),
    "array of lines": lambda documents: "[\n" + ",\n".join(json.dumps(one) for *_, one in documents) + "\n]\n",
    "pretty array": lambda documents: json.dumps([document for *_, document in documents], indent=2),
    "pretty": lambda documents: "\n".join(json.dumps(document, indent=2) for *_, document in documents),
    "concatenated": lambda documents: "".join(json.dumps(document) for *_, document in documents),
    "index and tab": lambda documents: "".join(f"{index}\t{json.dumps(one)}\n" for index, _, one in documents),
    "dump": lambda documents: "".join(
        json.dumps({"_index": f"{index}-000001", "_id": key, "_score": 1, "_source": one}) + "\n"
        for index, key, one in documents
    ),
    "mark": lambda documents: b"\xef\xbb\xbf" + plain(documents).encode(),
    "mark, bulk": lambda documents: b"\xef\xbb\xbf" + bulk(documents).encode(),
    "blank lines first": lambda documents: "\n\n" + plain(documents),
    "gzip": lambda documents: gzip.compress(plain(documents).encode()),
    "gzip, two members": lambda documents: (
        gzip.compress(plain(documents[:3]).encode()) + gzip.compress(plain(documents[3:]).encode())
    ),
}


def run(path: Path, *more: Path) -> tuple[InMemoryService, ImportAccount]:
    """Imports files into an empty service."""
    service = InMemoryService()
    with serving(service) as address, grpc.insecure_channel(address) as channel:
        account = import_ubi([path, *more], channel, sleep=lambda _: None)
    assert account.balanced
    return service, account


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_searches(form: str, tmp_path: Path) -> None:
    """All six documents are used, whatever form they are written in."""
    content = FORMS[form](DOCUMENTS)
    path = tmp_path / "ubi"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    service, account = run(path)
    assert (account.documents, account.usable, account.unusable) == (6, 6, 0)
    # In the order in which the file first names them: an event comes first.
    assert list(service.sessions) == ["q0", "q1", "q2"]
    for request in service.sessions.values():
        assert request.session.query == "shoes {red"
        assert [result.object_id for result in request.session.results] == ["a", "b"]
        assert request.session.results[1].meta["text"] == 'a "quoted\\ }text'
    assert sorted(session_id for session_id, _ in service.events) == ["q0", "q1", "q2"]


def test_searches_and_events_may_stand_in_different_files(tmp_path: Path) -> None:
    """In any order of the files; a first line number is that of its own file."""
    (tmp_path / "events").write_text(plain(DOCUMENTS[:1] + DOCUMENTS[4:]))
    (tmp_path / "queries").write_text(plain(DOCUMENTS[1:4]) + "nonsense\n")
    service, account = run(tmp_path / "events", tmp_path / "queries")
    assert (account.usable, account.unusable) == (6, 1)
    assert [lines for bucket, lines in account.lines.items() if bucket.reason == "not valid JSON"] == [[4]]
    assert len(service.sessions) == 3


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b"[]", b"\x00\x01", b'{"a": ', b"[{", b"hello\n[1]"])
def test_a_file_without_documents_is_no_success(content: bytes, tmp_path: Path) -> None:
    """Nothing is usable, nothing is stored, and the reader ends."""
    (tmp_path / "ubi").write_bytes(content)
    service, account = run(tmp_path / "ubi")
    assert account.usable == 0
    assert service.sessions == {}


def test_a_cut_off_gzip_file_is_an_error_in_words(tmp_path: Path) -> None:
    """Its documents up to there are not imported: nobody sees that the rest is missing."""
    (tmp_path / "ubi.gz").write_bytes(gzip.compress(plain(DOCUMENTS * 50).encode())[:-30])
    with pytest.raises(OSError, match="damaged or cut off"):
        run(tmp_path / "ubi.gz")


def test_a_large_pretty_array_is_read_in_pieces(tmp_path: Path) -> None:
    """Documents that cross the chunks of reading are whole."""
    documents = [("ubi_queries", str(n), QUERIES[0] | {"query_id": f"q{n}", "pad": "x" * 3_000}) for n in range(900)]
    (tmp_path / "ubi").write_text(json.dumps([document for *_, document in documents], indent=1))
    service, account = run(tmp_path / "ubi")
    assert account.usable == len(service.sessions) == 900
