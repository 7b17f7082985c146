"""Mistakes in MONGODB_URI and CLICKSTREAM_DATABASE: one line each, the setting's name, no secret (R19)."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pymongo
import pytest
from pymongo.errors import PyMongoError
from support.certificates import Authority

from clickstream.app.database import store
from clickstream.app.settings import Settings
from clickstream.dao.embedded_mongod import EmbeddedMongo, _mongod
from clickstream.dao.mongo.starting import database_name
from clickstream.domain.errors import Unavailable

PASSWORD = "p@ss:w/o%rd?"
SECRET = ("p@ss", "w/o", "rd?", "ord")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("'mongodb://host/'", "begins with a quotation mark"),
        ("http://host:27017", "must begin with mongodb://"),
        ("host:27017", "must begin with mongodb://"),
        (f"mongodb://user:{PASSWORD}@host/", "%40"),
        ("mongodb://user:p@ss@host/", "%40"),
        ("mongodb://user:w/ord@host/", "%2F"),
        ("mongodb://user:100%@host/", "%25"),
        ("mongodb://host:port/", "a port is a number"),
        ("mongodb://user:12/ord@host", "%2F"),
        ("mongodb://user:12/ord@host:27017", "%2F"),
        ("mongodb://user:pw@host/admin", "authSource=admin"),
        ("mongodb+srv://nobody.invalid/", "is not in the DNS"),
    ],
)
def test_a_uri_that_cannot_be_read_says_how_to_write_it(uri: str, message: str) -> None:
    """The setting is named, what is wrong is said, and no part of a password is shown."""
    with pytest.raises(ValueError, match="MONGODB_URI.*" + message) as refused:
        database_name(uri, "")
    assert not [part for part in SECRET if part in str(refused.value).replace("password", "")]
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "configured", "name"),
    [
        ("mongodb://host/", "", "clickstream"),
        ("mongodb://host/?replicaSet=rs0", "", "clickstream"),
        ("mongodb://host/searches?replicaSet=rs0", "", "searches"),
        ("mongodb://host/", "shop", "shop"),
        ("mongodb://host/shop", "shop", "shop"),
    ],
)
def test_a_database_named_in_the_uri_counts(uri: str, configured: str, name: str) -> None:
    """The setting, otherwise the URI, otherwise `clickstream`."""
    assert database_name(uri, configured) == name


@pytest.mark.parametrize("name", ["local", "admin", "config", "a.b", "a b", "a/b", "a$b", "ä" * 32])
def test_a_name_that_no_database_of_ours_can_have_is_refused(name: str) -> None:
    """MongoDB's own databases and names that it does not take are refused before anything is written."""
    with pytest.raises(ValueError, match="CLICKSTREAM_DATABASE"):
        database_name("mongodb://host/", name)


def test_two_different_names_are_refused() -> None:
    """Setting and URI must not contradict each other."""
    with pytest.raises(ValueError, match="'shop', and MONGODB_URI names 'searches'"):
        database_name("mongodb://host/searches", "shop")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Guarded:
    """A mongod with users and TLS."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "tls")
        certificate, key = self.authority.issue("127.0.0.1")
        self.port = free_port()
        both, secret = folder / "both.pem", folder / "key"
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
        secret.write_text("c2VjcmV0IG9mIHRoZSBzZXQ=")
        secret.chmod(0o600)
        (folder / "data").mkdir()
        self.process = subprocess.Popen(
            [
                *[str(_mongod(folder)), "--dbpath", str(folder / "data"), "--port", str(self.port), "--quiet"],
                *["--bind_ip", "127.0.0.1", "--nounixsocket", "--logpath", str(folder / "log"), "--replSet", "rs0"],
                *["--auth", "--keyFile", str(secret), "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(both)],
                *["--wiredTigerCacheSizeGB", "0.25"],
            ]
        )
        self.tls = f"tls=true&tlsCAFile={quote(str(self.authority.file), safe='')}"

    def uri(self, user: str = "", rest: str = "", tls: str | None = None) -> str:
        """The address for a user, with further options."""
        options = "&".join(part for part in (self.tls if tls is None else tls, rest) if part)
        return f"mongodb://{user}127.0.0.1:{self.port}/?{options}"

    def prepare(self) -> None:
        """Makes the set, and a user with the least rights."""
        member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
        with pymongo.MongoClient(self.uri(rest="directConnection=true")) as client:
            deadline = time.monotonic() + 30
            while True:
                try:
                    client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
                    break
                except PyMongoError:
                    assert time.monotonic() < deadline
            while not client.admin.command("hello")["isWritablePrimary"]:
                assert time.monotonic() < deadline
            client.admin.command("createUser", "root", pwd="root", roles=["root"])
        with pymongo.MongoClient(self.uri("root:root@", "directConnection=true")) as client:
            roles = [{"role": "readWrite", "db": "least"}]
            client.admin.command("createUser", "shop", pwd=PASSWORD, roles=roles)


@pytest.fixture(scope="module")
def guarded(mongod_program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A mongod with users and TLS, for all tests of this file."""
    made = Guarded(tmp_path_factory.mktemp("guarded"))
    try:
        made.prepare()
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def begin(uri: str, database: str = "least") -> None:
    """Starts on a store, and ends at once."""
    settings = Settings(mongodb_uri=uri, database=database, store_timeout=3)
    with store(settings, uri) as dao:
        dao.ping()


def mistake(uri: str, database: str) -> str:
    """The ValueError of a start; "" if it succeeds."""
    try:
        begin(uri, database)
    except ValueError as error:
        return str(error)
    return ""


RIGHT = f"shop:{quote(PASSWORD, safe='')}@"


def test_a_password_with_every_sign_and_the_least_rights_suffice(guarded: Guarded) -> None:
    """TLS, a password with @:/% and ?, and the role readWrite on the database alone."""
    begin(guarded.uri(RIGHT, "authSource=admin&replicaSet=rs0"))


def test_a_wrong_setting_is_told_from_an_outage(guarded: Guarded, tmp_path: Path) -> None:
    """User, permission, certificate and name of the set are ValueErrors (exit code 2), the rest is Unavailable (4)."""
    other = quote(str(Authority(tmp_path).file), safe="")
    rest = "authSource=admin&replicaSet=rs0"
    for uri, database, message in (
        (guarded.uri("shop:wrong@", rest), "least", "refuses user or password"),
        (guarded.uri(rest="replicaSet=rs0"), "least", "wants a user that may read and write 'least'"),
        (guarded.uri(RIGHT, rest), "other", "may read and write 'other'"),
        (guarded.uri(RIGHT, rest, f"tls=true&tlsCAFile={other}"), "least", "not signed by an authority in tlsCAFile"),
        (guarded.uri(RIGHT, "authSource=admin&replicaSet=rs9"), "least", "another name than 'rs9'"),
    ):
        said = mistake(uri, database)
        assert message in said, (said, message)
        assert said.startswith("MONGODB_URI (127.0.0.1:")
        assert not [part for part in SECRET if part in said.replace("password", "")]
    missing = "tls=true&tlsCAFile=%2Fno%2Fsuch%2Fca.pem"
    assert "a certificate file that it names cannot be used: No such file" in mistake(
        guarded.uri(RIGHT, rest, missing), "least"
    )
    direct = "authSource=admin&replicaSet=rs9&directConnection=true"
    assert "another name than 'rs9'" in mistake(guarded.uri(RIGHT, direct), "least")
    for uri, message in (
        (guarded.uri(RIGHT, rest, tls=""), "may want TLS"),
        (f"mongodb://127.0.0.1:{free_port()}/?directConnection=true", "nothing listens there"),
        ("mongodb://nobody.invalid/?directConnection=true", "the host is unknown"),
    ):
        with pytest.raises(Unavailable, match=message):
            begin(uri)


def test_a_name_that_differs_in_capital_letters_is_explained(mongod: EmbeddedMongo) -> None:
    """MongoDB does not take a database beside one of the same name in other case."""
    with pymongo.MongoClient(mongod.uri) as client:
        client["CaseOfLetters"]["a"].insert_one({})
        with pytest.raises(ValueError, match="differs from 'caseofletters' in capital letters only"):
            begin(mongod.uri, "caseofletters")
        with contextlib.suppress(PyMongoError):
            client.drop_database("CaseOfLetters")
