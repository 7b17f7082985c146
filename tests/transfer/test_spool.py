from pathlib import Path

import pytest

from clickstream.transfer.spool import Spool, key_of, spooling


def filled(spool: Spool, *documents: tuple[int, str, str, str]) -> None:
    """Adds (place, search, document id, content)."""
    for place, search, document, content in documents:
        spool.add(place, key_of(search), key_of(document), content.encode(), (search, content))


def test_documents_come_out_search_by_search(tmp_path: Path) -> None:
    """Searches in the order in which the files first name them, documents in their own order."""
    spool = Spool(tmp_path / "spool")
    filled(spool, (1, "b", "1", ""), (2, "a", "2", ""), (3, "b", "3", ""), (9, "a", "4", ""))
    spool.sort()
    assert [(first, [row.place for row in rows]) for first, rows in spool.searches()] == [(1, [1, 3]), (2, [2, 9])]
    assert [first for first, _ in spool.searches(after=1)] == [2]
    spool.close()


def test_a_repeated_id_is_found_wherever_it_stands(tmp_path: Path) -> None:
    """Also in another search, and says whether its content is that of the first."""
    spool = Spool(tmp_path / "spool")
    filled(spool, (1, "a", "x", "one"), (2, "b", "x", "two"), (3, "b", "x", "one"), (4, "b", "y", "one"))
    spool.sort()
    assert {row.place: row.same for _, rows in spool.searches() for row in rows} == {
        1: None,
        2: False,
        3: True,
        4: None,
    }
    spool.close()


def test_the_first_texts_of_an_item_stay(tmp_path: Path) -> None:
    """Later ones change nothing; an item without texts is not found."""
    spool = Spool(tmp_path / "spool")
    spool.add_item("a", {"title": "first"})
    spool.add_item("a", {"title": "second"})
    spool.commit()
    assert spool.items(["a", "b"]) == {"a": {"title": "first"}}
    spool.close()


def test_a_kept_spool_is_of_its_files_alone(tmp_path: Path) -> None:
    """Another import does not go on with it, and a file that is none is not written over."""
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    with spooling([tmp_path / "one"], "ubi", tmp_path / "state") as spool:
        spool.commit(sent=7)
    with spooling([tmp_path / "one"], "ubi", tmp_path / "state") as spool:
        assert spool.state("sent") == 7
    with pytest.raises(OSError, match="other files"), spooling([tmp_path / "two"], "ubi", tmp_path / "state"):
        pass
    (tmp_path / "text").write_text("not a state" * 100)
    with pytest.raises(OSError, match="not the state"), spooling([tmp_path / "one"], "ubi", tmp_path / "text"):
        pass
    with spooling([tmp_path / "one"], "ubi", tmp_path / "state") as spool:
        spool.commit(finished=True)
    assert not (tmp_path / "state").exists()
