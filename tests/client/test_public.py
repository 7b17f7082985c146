"""The public face of the client: what `clickstream.client` exports, and how it is documented."""

import inspect

import pytest

import clickstream.client
from clickstream.client import AsyncClickstreamClient, ClickstreamClient

DIRECT = {"create_session", "get_session", "mark_irrelevant", "restore", "push_events"}


def public_names(client: type) -> set[str]:
    """The methods and properties of a client."""
    return {name for name in vars(client) if not name.startswith("_")}


def test_every_exported_name_exists_and_is_documented() -> None:
    """`__all__` is the public list: each name of it can be imported, and each class of it has a docstring."""
    exported = {name: getattr(clickstream.client, name) for name in clickstream.client.__all__}
    assert {"AsyncClickstreamClient", "ClickstreamClient", "QueueSettings"} <= set(exported)
    assert not [name for name, thing in exported.items() if inspect.isclass(thing) and not thing.__doc__]


def test_both_clients_have_the_same_methods() -> None:
    """A method of one client exists in the other with the same parameters, defaults and annotations."""
    methods = public_names(ClickstreamClient)
    assert public_names(AsyncClickstreamClient) == methods
    for name in {*methods, "__init__"} - {"stats"}:
        blocking, awaited = getattr(ClickstreamClient, name), getattr(AsyncClickstreamClient, name)
        assert inspect.signature(blocking) == inspect.signature(awaited), name


@pytest.mark.parametrize("client", [ClickstreamClient, AsyncClickstreamClient])
@pytest.mark.parametrize("method", sorted(DIRECT | {"register", "push", "flush"}))
def test_a_method_documents_its_errors(client: type, method: str) -> None:
    """Every method that can fail names its errors, and a direct call explains its timeout."""
    documented = inspect.getdoc(getattr(client, method)) or ""
    assert "Raises:" in documented
    assert method not in DIRECT or "timeout: Deadline in seconds" in documented
