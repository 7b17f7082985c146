"""Certificates for tests: a small authority, and what it signs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


class Authority:
    """A certificate authority with its files in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str, *hosts: str, expired: bool = False) -> tuple[Path, Path]:
        """Signs a certificate for the common name and the hosts; returns the files of certificate and key.

        The same name again replaces the files, key first, as a rotation would.
        """
        end = datetime.now(UTC) - timedelta(days=1) if expired else None
        made = self._ca.issue_cert(*(hosts or (name,)), common_name=name, not_after=end)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        made.private_key_pem.write_to_path(key)
        certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        return certificate, key
