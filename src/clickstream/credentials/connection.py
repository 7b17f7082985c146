"""What a caller shows to a server, and what it wants to see: a token, and TLS."""

from dataclasses import dataclass, field
from pathlib import Path

from clickstream.credentials.addresses import check_target, is_local
from clickstream.credentials.pem import check_authorities, check_pair, content

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a caller has. Nothing: plain text, without a token.

    `token` is a token itself, `token_file` a file with a token on its only line; a client reads it again when it
    changes. `tls_ca` has the authorities, in PEM, that may have signed the server's
    certificate; naming it means TLS. `tls_cert` and `tls_key` are the caller's own certificate, for servers that ask
    for one.
    """

    token: str = field(default="", repr=False)
    token_file: Path | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    @property
    def files(self) -> list[Path]:
        """The files that are named."""
        return [path for path in (self.token_file, self.tls_ca, self.tls_cert, self.tls_key) if path is not None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The content of the files, checked. `authorities` None: plain text."""

    token: str = field(default="", repr=False)
    authorities: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)

    @property
    def metadata(self) -> Metadata:
        """The metadata of a call."""
        return bearer(self.token)


def bearer(token: str) -> Metadata:
    """The metadata that carries a token; none for an empty one."""
    return (("authorization", f"Bearer {token}"),) if token else ()


def load(address: str, credentials: Credentials, *, insecure: bool = False) -> Loaded:
    """Reads the files for calls to an address.

    Args:
        address: What is called.
        credentials: The files.
        insecure: Whether a token may go over plain text to another machine.

    Raises:
        ValueError: The address or a file cannot be used, or a token would go over plain text to another machine.
    """
    check_target(address)
    if (credentials.tls_cert is None) != (credentials.tls_key is None):
        raise ValueError("a client certificate and its key belong together: name both, or none")
    if credentials.tls_cert is not None and credentials.tls_ca is None:
        raise ValueError("a client certificate needs TLS: name the authorities of the server's certificate, too")
    has_token = bool(credentials.token or credentials.token_file)
    if has_token and credentials.tls_ca is None and not is_local(address) and not insecure:
        raise ValueError(
            f"the token would go to {address} in plain text: name the authorities of the server's certificate "
            "(for a public one, /etc/ssl/certs/ca-certificates.crt on many systems)"
        )
    token = read_token(credentials.token_file) if credentials.token_file else credentials.token
    if credentials.tls_ca is None:
        return Loaded(token)
    check_authorities(credentials.tls_ca)
    if credentials.tls_cert is None or credentials.tls_key is None:
        return Loaded(token, content(credentials.tls_ca))
    check_pair(credentials.tls_cert, credentials.tls_key)
    return Loaded(token, content(credentials.tls_ca), content(credentials.tls_cert), content(credentials.tls_key))


def read_token(path: Path) -> str:
    """The token in a file. Raises ValueError; the message never has the content."""
    token = content(path).decode("utf-8", errors="replace").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"the token file {path} must have one token and nothing else")
    return token
