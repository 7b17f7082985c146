"""Fixtures for tests of services: a server over either store."""

import pytest
from support.model_calls import lengths
from support.servers import InProcessServer


@pytest.fixture(params=["server", "mongo_server"])
def any_server(request: pytest.FixtureRequest) -> InProcessServer:
    """A server over either store."""
    server: InProcessServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def model_server(any_server: InProcessServer) -> InProcessServer:
    """A server over either store, whose machine of the models can load any version."""
    any_server.load_embedder = lengths
    return any_server
