"""Every code block of the pages is run by a test, marked as output, or named here with the reason why it cannot run."""

import contextlib
import re
import shlex
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
from click.testing import CliRunner
from pymongo.database import Database
from support.builders import create_request, event, push_request
from support.certificates import Authority
from support.cookbook import train
from support.memory_store import MemoryDao
from support.pages import ROOT, Block, blocks
from support.report_log import report_server
from support.servers import Clock, InProcessServer
from support.token_files import entry, written

from clickstream.quality.robot_policy import PACKAGED_ROBOT_POLICY
from clickstream.servicers.access.tls import ServerCertificate, TlsFiles
from clickstream.servicers.access.tokens import TokenFile
from clickstream.servicers.server import Listening

OUTPUT = {"text", "json", "mermaid"}
"""Languages of answers and pictures, which nobody runs."""
HERE = "tests/docs/test_code_blocks.py"
GRPCURL = "tests/docs/test_grpcurl.py"
RUN = {
    ("README.md", "S=localhost"): GRPCURL,
    ("README.md", "from clickstream.client import ClickstreamClient"): HERE,
    ("README.md", "scripts/serve"): HERE,
    ("docs/analytics.md", "clickstream analytics"): HERE,
    ("docs/decisions/0003-payload-bytes.md", "from embedding_studio"): HERE,
    ("docs/gateways.md", "curl -sS"): "tests/deploy/test_gateway.py",
    ("docs/grpcurl.md", ""): GRPCURL,
    ("docs/models.md", "grpcurl"): GRPCURL,
    ("docs/models.md", "import hashlib"): "tests/examples/test_models_page.py",
    ("docs/python-client.md", "from"): HERE,
    ("docs/quality.md", "clickstream"): HERE,
    ("docs/security.md", "[[token]]"): HERE,
    ("packaging/client/README.md", "from clickstream.client"): HERE,
}
"""Page and first words of a block → the test that runs it."""
UNRUN = {
    ("CONTRIBUTING.md", "scripts/test quick"): "it is the tests themselves",
    ("README.md", "scripts/demo"): "minutes, and the tests themselves; tests/demo runs the demo's parts",
    ("docs/gateways.md", "navigator"): "a line of a page that the example's backend does not have",
    ("docs/gateways.md", "scripts/descriptors"): "installs; tests/deploy/test_gateway.py runs both programs",
    ("docs/operations.md", "terminationGracePeriodSeconds"): "a part of a manifest; there is no cluster here",
    ("docs/security.md", "env:"): "a part of a manifest; there is no cluster here",
    ("docs/watching.md", "import json"): "TensorBoard is no package of the project",
}
"""The same → why nothing runs it."""
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "packaging").rglob("*.md"))
)


def block_of(page: str, words: str) -> Block:
    """The block of a page that has these words."""
    [found] = [block for block in blocks(page) if words in block.code]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_marked(page: str) -> None:
    """A block that is no output stands in RUN or UNRUN: write a test that runs it, or say why nothing can."""
    for block in blocks(page):
        if block.language in OUTPUT:
            continue
        keys = [key for key in (*RUN, *UNRUN) if key[0] == page and block.code.startswith(key[1])]
        assert keys, f"{page}, line {block.line}: no test runs this block of {block.language or 'no language'}"


def test_the_runners_exist_and_name_their_page() -> None:
    """Each test of RUN names the page whose block it runs, and each row of both tables still has its block."""
    for (page, words), test in RUN.items():
        assert page in (ROOT / test).read_text("utf-8")
        assert any(block.code.startswith(words) for block in blocks(page)), (page, words)
    for page, words in UNRUN:
        assert any(block.code.startswith(words) for block in blocks(page)), (page, words)


@contextlib.contextmanager
def running_server() -> Iterator[InProcessServer]:
    """A server at the present time."""
    with InProcessServer(MemoryDao(), lambda: datetime.now(UTC)) as server:
        yield server


@pytest.mark.parametrize("page", ["README.md", "packaging/client/README.md"])
def test_the_client_of_the_first_page_stores_a_click(page: str) -> None:
    """The Python block of a README registers a search and a click."""
    with running_server() as server:
        exec(block_of(page, "import ClickstreamClient").code.replace("localhost:50051", server.address), {})
        assert len(server.dao.events.of_sessions(1, 1, 1).of[1].events) == 1


def test_the_first_block_of_the_client_stores_a_click() -> None:
    """The first block of docs/python-client.md queues a search and a click, which its client sends when it closes."""
    names: dict[str, Any] = {}
    with running_server() as server:
        code = block_of("docs/python-client.md", "one per process").code.replace("localhost:50051", server.address)
        exec(code.replace('session_id="…"', 'session_id="s-1"'), names)
        names["client"].close()
        assert names["client"].stats.accepted == 2


def test_the_block_for_schedulers_runs_from_release_to_promotion(
    memory_dao: MemoryDao, clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The block of AdminClient in docs/python-client.md releases, reads, trains and promotes."""
    with InProcessServer(memory_dao, clock) as server:
        server.load_embedder = lambda _: lambda kind, texts: [[1.0] for _ in texts]
        for number in (1, 2):
            server.clickstream.CreateSession(create_request(f"s-{number}"))
            server.clickstream.PushEvents(push_request(f"s-{number}", event("e-1", "a")))
        run_id = "night-2026-05-04"

        def trainer() -> None:
            end = time.monotonic() + 20
            while memory_dao.runs.get(run_id) is None and time.monotonic() < end:
                time.sleep(0.02)
            train(memory_dao, tmp_path, run_id)

        thread = threading.Thread(target=trainer)
        thread.start()
        code = block_of("docs/python-client.md", "AdminClient(channel)\n").code
        exec(code.replace("localhost:50051", server.address), {})
        thread.join(20)
    newest = memory_dao.promotions.current()
    assert newest is not None
    assert newest.request_id == "deploy-2026-05-04"
    assert "2 of 2" in capsys.readouterr().out


def test_the_block_of_credentials_reaches_a_server_with_tls_and_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block of docs/python-client.md about TLS and tokens calls both addresses, each with its token."""
    authority = Authority(tmp_path)
    certificate = ServerCertificate(TlsFiles(*authority.issue("localhost")))
    entries = [entry("shop", "token-shop", "client"), entry("night", "token-night", "batch")]
    tokens = TokenFile(written(tmp_path / "tokens.toml", entries), lambda: datetime.now(UTC))
    for name in ("shop", "night"):
        (tmp_path / f"{name}.token").write_text(f"token-{name}\n")
    monkeypatch.chdir(tmp_path)
    listenings = [Listening("localhost:0", certificate, tokens)]
    with InProcessServer(MemoryDao(), lambda: datetime.now(UTC), listenings=listenings) as server:
        with grpc.secure_channel(server.address, grpc.ssl_channel_credentials(authority.file.read_bytes())) as channel:
            create = channel.unary_unary("/embedding_studio.clickstream.v1.ClickstreamService/CreateSession")
            metadata = [("authorization", "Bearer token-shop")]
            create(create_request("s-1").SerializeToString(), metadata=metadata, timeout=20)
        code = re.sub(r"search\.internal:\d+", server.address, block_of("docs/python-client.md", "tls_ca=").code)
        names: dict[str, Any] = {}
        exec(code, names)
        assert names["batch"].session_count == 1
        assert names["client"].get_session("s-1").session.session_id == "s-1"
        names["client"].close()


def test_a_payload_is_read_from_the_database(
    mongo_server: InProcessServer, database: Database[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The block of docs/decisions/0003-payload-bytes.md prints a stored session."""
    mongo_server.clickstream.CreateSession(create_request("my-session"))
    exec(block_of("docs/decisions/0003-payload-bytes.md", "payload").code, {"database": database})
    assert 'session_id: "my-session"' in capsys.readouterr().out


def test_the_token_file_of_the_page_is_one(tmp_path: Path) -> None:
    """The example of docs/security.md is read as a token file, and says what the table beside it says."""
    code = block_of("docs/security.md", "[[token]]").code
    (tmp_path / "tokens.toml").write_text(code)
    TokenFile(tmp_path / "tokens.toml", lambda: datetime(2026, 12, 1, tzinfo=UTC))
    assert tomllib.loads(code)["token"][0]["scopes"] == ["client"]


def commands(code: str) -> Iterator[list[str]]:
    """The arguments of each command in a block: those of scripts/serve and of `clickstream`, variables left out."""
    for line in code.splitlines():
        words = [word for word in shlex.split(line, comments=True) if not re.match(r"[A-Z_]+=", word)]
        if words and words[0] == "scripts/serve":
            yield ["serve", *words[1:]]
        elif words and words[0].rpartition("/")[2] == "clickstream":
            yield words[1:]


def parse(command: click.Command, arguments: list[str], parent: click.Context | None = None) -> None:
    """Reads the arguments of a command as the command would, without running it."""
    context = command.make_context(command.name or "", list(arguments), parent=parent)
    if isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None, name
        parse(found, rest, context)


def test_the_commands_of_the_readme_are_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of README.md that starts or asks the service takes the arguments that stand there."""
    monkeypatch.chdir(tmp_path)
    for name in ("tokens.toml", "server.pem", "server.key", "events.ndjson"):
        (tmp_path / name).touch()
    shown = list(commands(block_of("README.md", "scripts/serve --processes").code))
    assert len(shown) == 18
    for arguments in shown:
        parse(main_group(), arguments)


def main_group() -> click.Group:
    """The command `clickstream` as click has it."""
    from clickstream.cli.commands import main as group

    return group


def test_the_commands_of_analysts_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of docs/analytics.md and docs/quality.md ends well where there are ten days of searches."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_bytes(PACKAGED_ROBOT_POLICY.read_bytes())
    run: Callable[..., Any] = CliRunner().invoke
    with report_server(days=3) as server:
        monkeypatch.setenv("CLICKSTREAM_ADDRESS", server.address)
        for page in ("docs/analytics.md", "docs/quality.md"):
            shown = [
                arguments for block in blocks(page) if block.language == "sh" for arguments in commands(block.code)
            ]
            assert len(shown) >= 6
            for arguments in shown:
                arguments = [word.replace("batch-7", "batch-1") for word in arguments]
                ended = run(main_group(), arguments)
                assert ended.exit_code == 0, (arguments, ended.output)
