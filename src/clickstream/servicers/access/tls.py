"""The certificate of a port: read from files, checked, and taken up anew when the files change."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from clickstream.credentials.pem import check_authorities, check_pair, content


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of one port, in PEM.

    `certificate` is the server's, followed by intermediate ones; `key` is its private key. With `client_ca`, callers
    must show a certificate that one of its authorities has signed.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


class ServerCertificate:
    """The certificate of one port. `reload` reads the files again; connections made from then on get the new one."""

    def __init__(self, files: TlsFiles) -> None:
        """Reads the files. Raises ValueError if they cannot be used; the message names the file."""
        self._files = files
        self._new: grpc.ServerCertificateConfiguration | None = self._read()

    @property
    def files(self) -> list[Path]:
        """The files that `reload` reads."""
        ca = self._files.client_ca
        return [self._files.certificate, self._files.key, *([ca] if ca else [])]

    def reload(self) -> None:
        """Reads the files again. Raises ValueError, and keeps the certificate, if they cannot be used together."""
        self._new = self._read()

    def _read(self) -> grpc.ServerCertificateConfiguration:
        check_pair(self._files.certificate, self._files.key)
        ca = self._files.client_ca
        if ca is not None:
            check_authorities(ca)
        return grpc.ssl_server_certificate_configuration(
            [(content(self._files.key), content(self._files.certificate))],
            root_certificates=content(ca) if ca else None,
        )

    def credentials(self) -> grpc.ServerCredentials:
        """What the port listens with; for one port. gRPC asks at every handshake whether there is a new certificate."""
        taken: Any = self._taken  # the published types do not know that None means unchanged
        return grpc.dynamic_ssl_server_credentials(taken(), taken, self._files.client_ca is not None)

    def _taken(self) -> grpc.ServerCertificateConfiguration | None:
        """The certificate if it is new. gRPC frees what it is given: the same one twice would crash the process."""
        new, self._new = self._new, None
        return new
