"""What every store promises about judgements."""

from clickstream.dao.interface.store import ClickstreamDao


def test_r18_judgements_are_kept_once_under_their_name(dao: ClickstreamDao) -> None:
    """R18: judgements stay as they were first stored under their name; another name has none."""
    dao.judgements.keep("f00d", b"one")
    dao.judgements.keep("beef", b"two")
    dao.judgements.keep("f00d", b"packed by another version")
    assert dao.judgements.get("f00d") == b"one"
    assert dao.judgements.get("beef") == b"two"
    assert dao.judgements.get("dead") is None
