"""The backend of a shop's pages: it keeps the token and makes the sessions; a page says only which result was clicked.

Run it with `python examples/browser/backend.py [HOST:PORT of the service]`, then:

    curl 'localhost:8000/search?q=red+shoes'
    curl -X POST 'localhost:8000/click?session=ID&item=sku-1'
"""

import json
import sys
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server

from embedding_studio.clickstream.v1.session_pb2 import Event, Result, Session

from clickstream.client import ClickstreamClient, QueueFullError

ITEMS = ("sku-1", "sku-2")


class Backend:
    """A WSGI application with two addresses: /search and /click."""

    def __init__(self, client: ClickstreamClient) -> None:
        self._client = client

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answers one request."""
        asked = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
        if environ["PATH_INFO"] == "/search" and "q" in asked:
            # The session's id goes to the page, so that its clicks can name their search.
            session_id = str(uuid.uuid4())
            shown = [Result(object_id=item) for item in ITEMS]
            self._send(self._client.register, Session(session_id=session_id, query=asked["q"], results=shown))
            answer, status = json.dumps({"session": session_id, "items": ITEMS}), "200 OK"
        elif environ["PATH_INFO"] == "/click" and asked.get("item") in ITEMS and "session" in asked:
            self._send(self._client.push, asked["session"], Event(object_id=asked["item"], type="click"))
            answer, status = "{}", "202 Accepted"
        else:
            answer, status = "{}", "400 Bad Request"
        start_response(status, [("content-type", "application/json")])
        return [answer.encode()]

    def _send(self, queue: Any, *item: Any) -> None:
        """Queues an item. A full queue must not break a search page; its counter goes into the shop's metrics."""
        try:
            queue(*item)
        except QueueFullError as full:
            print(full, file=sys.stderr)


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"
    with ClickstreamClient(address) as client, make_server("127.0.0.1", 8000, Backend(client)) as server:
        server.serve_forever()
