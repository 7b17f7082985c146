"""Every client runs every case, and the committed table says what came out."""

import pytest
from conformance.clients import CLIENTS, ROOT
from conformance.plan import cases
from conformance.table import page


@pytest.mark.full
@pytest.mark.alone
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("mongod_program", "torch_installed")
def test_the_table_is_what_the_clients_say() -> None:
    """The page docs/conformance.md equals the one of this run."""
    from conformance.__main__ import run  # needs torch, which the quick tests must not

    results = run(list(CLIENTS), ROOT / "build" / "conformance")
    written = page(cases(), list(CLIENTS), results)
    assert "FAILED" not in written
    assert written == (ROOT / "docs" / "conformance.md").read_text("utf-8")
