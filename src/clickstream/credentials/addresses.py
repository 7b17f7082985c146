"""Addresses of servers: HOST:PORT, or `unix:/PATH` for a socket of this machine."""

import ipaddress

UNIX = "unix:"
# The longest path of a Unix socket on Linux, in bytes.
UNIX_PATH_BYTES = 107
MAX_PORT = 65_535
# Other forms in which gRPC takes the address of a server.
_TARGETS = ("dns:", "ipv4:", "ipv6:", "unix-abstract:", "xds:")
_FORMS = "an address is HOST:PORT or unix:/PATH"


def check_address(address: str) -> None:
    """Checks an address to listen on or to call. Raises ValueError with what is wrong."""
    if address.startswith(UNIX):
        path = address.removeprefix(UNIX).removeprefix("//")
        if not path.startswith("/") or path.endswith("/"):
            raise ValueError(f"{address!r} names no socket: unix:/PATH, with the whole path")
        if len(path.encode()) > UNIX_PATH_BYTES:
            raise ValueError(f"the path in {address!r} has more than {UNIX_PATH_BYTES} bytes: the system takes no more")
        return
    if "://" in address:
        raise ValueError(f"{address!r} begins with a scheme, which gRPC does not have: {_FORMS}")
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal():
        raise ValueError(f"{address!r} has no port: {_FORMS}")
    if int(port) > MAX_PORT:
        raise ValueError(f"the port of {address!r} is above {MAX_PORT}")
    if not host or not host.isprintable() or any(character in host for character in " /@?#\"'"):
        raise ValueError(f"{address!r} has no host that can be meant: {_FORMS}")
    if ":" in host.strip("[]") and not (host.startswith("[") and host.endswith("]") and _is_ipv6(host[1:-1])):
        raise ValueError(f"{address!r}: an IPv6 address stands in brackets, [::1]:50051 for example")


def check_target(target: str) -> None:
    """As `check_address`, for what a client calls: port 0 is none, and gRPC's other forms are allowed."""
    if target.startswith(_TARGETS):
        name = target.partition(":")[2].removeprefix("//").rpartition("/")[2]
        if not name or not name.isprintable() or " " in name or "://" in target.replace(":///", ":", 1):
            raise ValueError(f"{target!r} names no server: dns:///HOST:PORT, for example")
        return
    check_address(target)
    if not target.startswith(UNIX) and int(target.rpartition(":")[2]) == 0:
        raise ValueError(f"{target!r} has port 0, which no server listens on")


def is_local(address: str) -> bool:
    """Whether an address can only be reached from this machine: a Unix socket, or loopback."""
    if address.startswith((UNIX, "unix-abstract:")):
        return True
    host = address.removeprefix("ipv4:").removeprefix("ipv6:").removeprefix("dns:///").rpartition(":")[0].strip("[]")
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).version == 6
    except ValueError:
        return False
