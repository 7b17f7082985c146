"""Certificates and keys in PEM files, checked before they are used."""

import ssl
from datetime import datetime
from pathlib import Path


def check_pair(certificate: Path, key: Path) -> None:
    """Checks that a certificate and its private key can be read and belong together. Raises ValueError."""
    for path, what in ((certificate, "certificate"), (key, "key")):
        if b"-----BEGIN" not in content(path):
            raise ValueError(f"the {what} {path} is not in PEM")
    try:
        # Without a password, OpenSSL would ask for that of an encrypted key on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ValueError(f"the certificate {certificate} and the key {key} cannot be used: {_cause(error)}") from error


def check_authorities(path: Path) -> None:
    """Checks that a file of certificate authorities can be used. Raises ValueError."""
    content(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"the certificate authorities {path} cannot be used: {_cause(error)}") from error


def not_after(certificate: Path) -> datetime:
    """The end of the first certificate in a file, in UTC. Raises ValueError."""
    from cryptography.x509 import load_pem_x509_certificate  # megabytes: only metrics pay for it

    return load_pem_x509_certificate(content(certificate)).not_valid_after_utc


def content(path: Path) -> bytes:
    """The content of a file. Raises ValueError that names it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


def _cause(error: Exception) -> str:
    if "KEY_VALUES_MISMATCH" in str(error):
        return "the key is not that of the certificate"
    return str(getattr(error, "reason", None) or error)
