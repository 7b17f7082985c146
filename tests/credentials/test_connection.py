"""What a caller shows: tokens never go over plain text to another machine, and mistakes are named (R19)."""

from pathlib import Path

import pytest
from support.certificates import Authority

from clickstream.credentials.connection import Credentials, load, read_token

REMOTE = "10.0.0.5:50051"


def test_r19_a_token_goes_over_plain_text_on_this_machine_only(tmp_path: Path) -> None:
    """R19: without TLS a token is refused for another machine, unless that is asked for."""
    file = tmp_path / "token"
    file.write_text(" cs_secret\n")
    credentials = Credentials(token_file=file)
    for address in ("127.0.0.1:1", "unix:/run/a.sock"):
        assert load(address, credentials).metadata == (("authorization", "Bearer cs_secret"),)
    for each in (credentials, Credentials(token="cs_secret")):
        with pytest.raises(ValueError, match=r"10\.0\.0\.5:50051 in plain text") as refused:
            load(REMOTE, each)
        assert "cs_secret" not in str(refused.value)
    assert load(REMOTE, credentials, insecure=True).token == "cs_secret"
    assert load(REMOTE, Credentials(token_file=file, tls_ca=Authority(tmp_path).file)).authorities


def test_no_secret_is_printed(tmp_path: Path) -> None:
    """Neither form of the credentials shows a token or a key."""
    assert "cs_secret" not in repr(Credentials(token="cs_secret"))
    assert "cs_secret" not in repr(load("127.0.0.1:1", Credentials(token="cs_secret")))


def test_certificates_are_checked_before_the_first_call(tmp_path: Path) -> None:
    """A certificate without its key, without TLS, or that does not fit is refused with the file."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("shop")
    other = Authority(tmp_path / "other").issue("shop")[1]
    whole = Credentials(tls_ca=authority.file, tls_cert=certificate, tls_key=key)
    assert load(REMOTE, whole).certificate == certificate.read_bytes()
    for wrong, message in (
        (Credentials(tls_ca=authority.file, tls_cert=certificate), "belong together"),
        (Credentials(tls_cert=certificate, tls_key=key), "needs TLS"),
        (Credentials(tls_ca=authority.file, tls_cert=certificate, tls_key=other), "not that of the certificate"),
        (Credentials(tls_ca=tmp_path / "absent.pem"), r"absent\.pem cannot be read"),
        (Credentials(tls_ca=key), "cannot be used"),
    ):
        with pytest.raises(ValueError, match=message):
            load(REMOTE, wrong)


@pytest.mark.parametrize("content", ["", "two words", "zwölf", "a\nb"])
def test_a_file_without_a_single_token_is_refused(tmp_path: Path, content: str) -> None:
    """The message names the file, never its content."""
    file = tmp_path / "token"
    file.write_text(content)
    with pytest.raises(ValueError, match="one token and nothing else") as refused:
        read_token(file)
    assert not content or content not in str(refused.value)
