"""Addresses: what is one, what is refused in words, and what only this machine reaches (R19)."""

import pytest

from clickstream.credentials.addresses import check_address, check_target, is_local

GOOD = ["127.0.0.1:50051", "localhost:0", "[::1]:50051", "search.example.com:443", "0.0.0.0:1", "unix:/run/a.sock"]
WRONG = {
    "127.0.0.1:99999": "above 65535",
    "127.0.0.1": "has no port",
    "127.0.0.1:": "has no port",
    "127.0.0.1:http": "has no port",
    "127.0.0.1:-1": "has no port",
    "127.0.0.1:\u0661": "has no port",  # a digit, but not of ASCII
    ":50051": "has no host",
    "http://host:50051": "begins with a scheme",
    "grpc://host:50051": "begins with a scheme",
    "host/path:50051": "has no host that can be meant",
    "user@host:50051": "has no host that can be meant",
    "my host:50051": "has no host that can be meant",
    "::1:50051": "stands in brackets",
    "[::1:50051": "stands in brackets",
    "[nonsense:]:50051": "stands in brackets",
    "unix:relative.sock": "names no socket",
    "unix:/folder/": "names no socket",
    "unix:/" + "a" * 107: "more than 107 bytes",
    "": "has no port",
}


@pytest.mark.parametrize("address", GOOD)
def test_an_address_is_taken(address: str) -> None:
    """HOST:PORT and the path of a socket are addresses."""
    check_address(address)


@pytest.mark.parametrize("address", WRONG)
def test_what_cannot_be_meant_is_refused_in_words(address: str) -> None:
    """Every other form is refused with the address and what is wrong."""
    with pytest.raises(ValueError, match=WRONG[address]) as refused:
        check_address(address)
    assert repr(address) in str(refused.value)


def test_a_client_takes_the_other_forms_of_grpc_and_no_port_0() -> None:
    """A client may name a resolver; a server listens on no port 0."""
    for target in (
        "dns:///search:50051",
        "xds:///search",
        *(address for address in GOOD if not address.endswith(":0")),
    ):
        check_target(target)
    with pytest.raises(ValueError, match="port 0"):
        check_target("localhost:0")


@pytest.mark.parametrize(
    "target", ["dns:", "dns:///", "dns:http://host:50051", "dns:///http://host:1", "xds:///my host"]
)
def test_a_resolver_without_a_server_is_refused(target: str) -> None:
    """A target of gRPC that names no server is refused with the target."""
    with pytest.raises(ValueError, match="names no server") as refused:
        check_target(target)
    assert repr(target) in str(refused.value)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        *(("127.0.0.1:1", True), ("127.8.0.1:1", True), ("localhost:1", True), ("[::1]:1", True), ("unix:/a", True)),
        *(("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("localhost.example.com:1", False)),
        *(("ipv4:127.0.0.1:1", True), ("dns:///localhost:1", True), ("dns:///search:1", False)),
    ],
)
def test_what_only_this_machine_reaches(address: str, local: bool) -> None:
    """Loopback and Unix sockets are local; every other address may be reached from elsewhere."""
    assert is_local(address) is local
