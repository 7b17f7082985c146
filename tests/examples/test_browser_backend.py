"""The example of a page's own backend runs."""

import importlib.util
import json
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from support.memory_store import MemoryDao
from support.servers import InProcessServer

from clickstream.client import ClickstreamClient

EXAMPLE = Path(__file__).parents[2] / "examples" / "browser" / "backend.py"


class Quiet(WSGIRequestHandler):
    """Writes no line per request."""

    def log_message(self, *_: Any) -> None:
        """Does nothing."""


@pytest.fixture
def served(memory_dao: MemoryDao) -> Iterator[tuple[str, ClickstreamClient]]:
    """The address of the backend, and its client of a real server."""
    spec = importlib.util.spec_from_file_location("backend", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with (
        InProcessServer(memory_dao, lambda: datetime.now(UTC)) as service,
        ClickstreamClient(service.address) as client,
        make_server("127.0.0.1", 0, module.Backend(client), handler_class=Quiet) as backend,
    ):
        thread = threading.Thread(target=backend.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{backend.server_port}", client
        backend.shutdown()
        thread.join(10)


def test_the_backend_stores_the_clicks_of_its_pages(
    served: tuple[str, ClickstreamClient], memory_dao: MemoryDao
) -> None:
    """A page searches and says which item was clicked; the backend stores both and refuses other requests."""
    address, client = served
    with urllib.request.urlopen(f"{address}/search?q=red+shoes", timeout=10) as answer:
        found = json.load(answer)
    click = f"{address}/click?session={found['session']}&item={found['items'][0]}"
    with urllib.request.urlopen(click, data=b"", timeout=10) as answer:
        assert answer.status == 202
    with pytest.raises(HTTPError, match="400"):
        urllib.request.urlopen(f"{address}/click?session=x&item=unknown", data=b"", timeout=10)
    assert client.flush(10)
    assert client.stats.accepted == 2
    [session] = memory_dao.sessions.page(1, 0, 10, include_irrelevant=True).sessions
    assert session.session_id == found["session"]
