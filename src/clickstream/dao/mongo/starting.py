"""What is wrong with the user's own MongoDB at the start, in one line and without a secret."""

import contextlib
from collections.abc import Iterator

from pymongo import uri_parser
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from clickstream.domain.errors import Reason, Unavailable

DEFAULT_DATABASE = "clickstream"
_RESERVED = {"admin", "local", "config"}
_FORBIDDEN = frozenset('/\\. "$*<>:|?\0')
_NAME_BYTES = 63
_SCHEMES = ("mongodb://", "mongodb+srv://")
# Codes of the server: https://www.mongodb.com/docs/manual/reference/error-codes/
_AUTHENTICATION_FAILED, _UNAUTHORIZED, _DATABASE_DIFFERS_IN_CASE = 18, 13, 13297
_WRONG_SETTINGS = {_AUTHENTICATION_FAILED, _UNAUTHORIZED, _DATABASE_DIFFERS_IN_CASE}
_ESCAPE = "write each %, @, :, / and ? of user and password as %25, %40, %3A, %2F and %3F"
# A part of the driver's words → what it means. The driver's own words can hold parts of a password.
_CAUSES = {
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not signed by an authority in tlsCAFile, or is for another host",
    "CERTIFICATE_REQUIRED": "it asks for a client certificate: tlsCertificateKeyFile",
    "WRONG_VERSION_NUMBER": "it does not talk TLS: leave tls=true out",
    "connection closed": "it closes the connection at once: it may want TLS, tls=true",
    "Connection reset": "it closes the connection at once: it may want TLS, tls=true",
    "Connection refused": "nothing listens there",
    "Name or service not known": "the host is unknown",
    "nodename nor servname": "the host is unknown",
    "Temporary failure in name resolution": "the host is unknown",
    "No replica set members match selector": "no member of the set takes writes now",
    "No servers match selector": "no member of the set takes writes now",
    "timed out": "it does not answer",
}


def database_name(uri: str, configured: str) -> str:
    """The name of the database: the configured one, otherwise the one in the URI, otherwise the default.

    Args:
        uri: MONGODB_URI.
        configured: CLICKSTREAM_DATABASE; "" if it is not set.

    Raises:
        ValueError: The URI cannot be read, the name cannot be that of a database, or the two differ.
    """
    named = str(_parsed(uri).get("database") or "")
    if configured and named and configured != named:
        raise ValueError(f"CLICKSTREAM_DATABASE is {configured!r}, and MONGODB_URI names {named!r}: set one of them")
    name = configured or named or DEFAULT_DATABASE
    where = "CLICKSTREAM_DATABASE" if configured else "MONGODB_URI"
    if name in _RESERVED:
        hint = "; the database of the users is named by ?authSource=admin" if name == "admin" else ""
        raise ValueError(f"{where}: the database {name!r} belongs to MongoDB itself{hint}")
    if _FORBIDDEN.intersection(name) or len(name.encode()) > _NAME_BYTES:
        raise ValueError(f"{where}: {name!r} cannot be a database's name: no dot, blank or /, and at most 63 bytes")
    return name


def _parsed(uri: str) -> dict[str, object]:
    if uri[:1] in ("'", '"'):
        raise ValueError("MONGODB_URI begins with a quotation mark: leave the quotes out of the value")
    if not uri.startswith(_SCHEMES):
        raise ValueError("MONGODB_URI must begin with mongodb:// or mongodb+srv://")
    rest = uri.partition("://")[2]
    if "@" in rest.partition("/")[2].partition("?")[0] or "@" in rest.rpartition("@")[0]:
        # The driver would take a part of the password for a host or a database, and the messages would show it.
        raise ValueError(f"MONGODB_URI cannot be read: {_ESCAPE}")
    try:
        return uri_parser.parse_uri(uri, warn=False)
    except InvalidURI:
        raise ValueError(f"MONGODB_URI cannot be read: {_ESCAPE}") from None
    except ConfigurationError:
        # Of a URI with SRV, which the driver looks up at once.
        srv = uri.startswith("mongodb+srv://")
        cause = "the name behind mongodb+srv:// is not in the DNS" if srv else "an option does not exist or fits none"
        raise ValueError(f"MONGODB_URI cannot be used: {cause}") from None
    except OSError as error:
        raise _wrong_file(error) from None
    except (ValueError, PyMongoError):
        raise ValueError(f"MONGODB_URI cannot be read: {_ESCAPE}; a port is a number") from None


@contextlib.contextmanager
def starting(uri: str, database: str) -> Iterator[None]:
    """Explains what fails in the block, which talks to MongoDB for the first time.

    Raises:
        ValueError: A setting is wrong: user, password, permission, certificate, name of the set or of the database.
        errors.Unavailable: MongoDB is away.
    """
    try:
        yield
    except Unavailable as error:
        if isinstance(error.__cause__, PyMongoError):
            raise _explained(error.__cause__, uri, database) from error
        raise
    except PyMongoError as error:
        raise _explained(error, uri, database) from error
    except OSError as error:  # ssl.SSLError is one
        raise _wrong_file(error) from error


def _wrong_file(error: OSError) -> ValueError:
    what = getattr(error, "reason", None) or error.strerror
    return ValueError(f"MONGODB_URI: a certificate file that it names cannot be used: {what}")


def _explained(error: PyMongoError, uri: str, database: str) -> Exception:
    hosts = ", ".join(f"{host}:{port}" if port else str(host) for host, port in _hosts(uri))
    if isinstance(error, OperationFailure):
        if error.code in _WRONG_SETTINGS:
            return ValueError(f"MONGODB_URI ({hosts}): {_refused(error, database)}")
        name = error.details.get("codeName") if error.details else error.code
        return Unavailable(
            Reason.STORE_UNAVAILABLE, f"MONGODB_URI: MongoDB at {hosts} does not carry out the start: {name}"
        )
    if isinstance(error, ConfigurationError):
        return ValueError(f"MONGODB_URI ({hosts}): {_cause(error)}")
    wanted = _parsed(uri).get("options")
    replica_set = wanted.get("replicaSet") if hasattr(wanted, "get") else None
    if (
        isinstance(error, ServerSelectionTimeoutError)
        and replica_set
        and any(sign in str(error) for sign in ("servers: []", "configured to connect to a replica set named"))
    ):
        return ValueError(f"MONGODB_URI ({hosts}): its replica set has another name than {replica_set!r}")
    cause = _cause(error)
    if any(sign in str(error) for sign in ("CERTIFICATE", "WRONG_VERSION_NUMBER")):
        return ValueError(f"MONGODB_URI ({hosts}): {cause}")
    return Unavailable(Reason.STORE_UNAVAILABLE, f"MONGODB_URI: no MongoDB at {hosts}: {cause}")


def _hosts(uri: str) -> list[tuple[str, int | None]]:
    nodes = _parsed(uri)["nodelist"]
    return nodes if isinstance(nodes, list) else []


def _refused(error: OperationFailure, database: str) -> str:
    if error.code == _AUTHENTICATION_FAILED:
        return "MongoDB refuses user or password; authSource names the database that has the user"
    if error.code == _UNAUTHORIZED:
        return f"MongoDB wants a user that may read and write {database!r} (role readWrite)"
    return f"a database exists whose name differs from {database!r} in capital letters only"


def _cause(error: Exception) -> str:
    return next((words for sign, words in _CAUSES.items() if sign in str(error)), type(error).__name__)
