"""The list of cases is whole: every method and every reason that a caller can meet is in it."""

from conformance.plan import called, cases, reasons
from embedding_studio.clickstream.v1.error_reason_pb2 import ErrorReason

from clickstream.servicers.access.scopes import SCOPES

# Reasons that no case can bring about from outside in bounded time, and why.
OUT_OF_REACH = {
    "UNSPECIFIED": "it is never sent",
    "DEFECT": "a defect of the server, which nobody knows how to cause",
    "EMBED_QUEUE_FULL": "4,096 texts must wait, and a small model is too quick; tests/servicers/test_models.py",
    "WRITE_QUEUE_FULL": "six large requests of a caller at once are less than the smallest queue; tests/servicers",
    "READER_TOO_SLOW": "it takes a minute per client; tests/servicers/test_open_streams.py",
}


def test_every_method_is_called() -> None:
    """The cases call every method that the server offers."""
    assert {path.removeprefix("/") for path in SCOPES} - called(cases()) == set()


def test_every_reason_is_met() -> None:
    """The cases expect every error reason but those that are named here with a cause."""
    all_reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118
    assert all_reasons - reasons(cases()) == set(OUT_OF_REACH)


def test_names_are_unique() -> None:
    """A row of the table is one case."""
    names = [case["name"] for case in cases()]
    assert len(set(names)) == len(names)
