"""How commands call a running service."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import click

ADDRESS = click.option("--address", default="127.0.0.1:50051", show_default=True, help="Address of the service.")


@contextlib.contextmanager
def calling(address: str) -> Iterator[Any]:
    """A channel to the service; a call that fails ends the command with what the server says."""
    import grpc

    from clickstream.client.calls import violations

    try:
        with grpc.insecure_channel(address) as channel:
            yield channel
    except grpc.RpcError as error:
        said = "; ".join(f"{field}: {why}" for field, why in violations(error)) or error.details()
        sys.exit(f"clickstream: {error.code().name}: {said}")
