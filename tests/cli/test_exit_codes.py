"""Exit codes: the table of the docs, and what each kind of error ends with."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import click
import grpc
import pytest
from click.testing import CliRunner
from embedding_studio.clickstream.v1 import batch_service_pb2_grpc
from google.protobuf.any_pb2 import Any as PackedAny
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from support.certificates import Authority
from support.processes import take_ctrl_c

from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode
from clickstream.client import calls

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "exit-codes.md"
SERVERS = {"serve", "trainer", "worker", "demo", "token new", "backup", "restore-backup"}


class Refusing(batch_service_pb2_grpc.BatchServiceServicer):
    """Answers every call with this status and reason."""

    code = grpc.StatusCode.OK
    reason = ""

    def ListBatches(self, request, context):
        packed = PackedAny()
        packed.Pack(ErrorInfo(reason=f"ERROR_REASON_{self.reason}"))
        context.abort_with_status(
            rpc_status.to_status(Status(code=self.code.value[0], message="because", details=[packed]))
        )


@pytest.fixture
def refusing() -> Iterator[tuple[Refusing, str]]:
    """The service and its address."""
    service = Refusing()
    server = grpc.server(ThreadPoolExecutor(2))
    batch_service_pb2_grpc.add_BatchServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield service, f"127.0.0.1:{port}"
    server.stop(None).wait()


def commands() -> dict[str, click.Command]:
    """Every command by its words: `import ubi`, for example."""
    found = {}
    for name, command in main.commands.items():
        inner = command.commands if isinstance(command, click.Group) else None
        found |= {f"{name} {each}": one for each, one in inner.items()} if inner else {name: command}
    return found


def test_the_table_is_the_enum() -> None:
    """The page has every code, once, in order, under its name."""
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == [(code.value, code.name) for code in ExitCode]


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        ("UNAVAILABLE", "STORE_UNAVAILABLE", ExitCode.SERVER_AWAY),
        ("UNAVAILABLE", "TRAINER_UNAVAILABLE", ExitCode.SERVER_AWAY),
        ("UNAVAILABLE", "SHUTTING_DOWN", ExitCode.SERVER_AWAY),
        ("DEADLINE_EXCEEDED", "", ExitCode.SERVER_AWAY),
        ("RESOURCE_EXHAUSTED", "WRITE_QUEUE_FULL", ExitCode.SERVER_AWAY),
        ("RESOURCE_EXHAUSTED", "EMBED_QUEUE_FULL", ExitCode.SERVER_AWAY),
        ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED", ExitCode.REFUSED),
        ("INVALID_ARGUMENT", "INVALID_FIELD", ExitCode.REFUSED),
        ("NOT_FOUND", "BATCH_NOT_FOUND", ExitCode.REFUSED),
        ("ALREADY_EXISTS", "CONTENT_CONFLICT", ExitCode.REFUSED),
        ("FAILED_PRECONDITION", "BATCH_EMPTY", ExitCode.REFUSED),
        ("PERMISSION_DENIED", "", ExitCode.REFUSED),
        ("UNAUTHENTICATED", "", ExitCode.REFUSED),
        ("UNIMPLEMENTED", "", ExitCode.REFUSED),
        ("FAILED_PRECONDITION", "GATE_NOT_PASSED", ExitCode.GATE_NOT_PASSED),
        ("INTERNAL", "DEFECT", ExitCode.FAILED),
        ("UNKNOWN", "", ExitCode.FAILED),
    ],
)
def test_a_failed_call_ends_with_its_code(
    refusing: tuple[Refusing, str], monkeypatch: pytest.MonkeyPatch, status: str, reason: str, code: ExitCode
) -> None:
    """A scheduler repeats code 4 only; the message is one line with the status."""
    monkeypatch.setattr(calls, "ATTEMPTS", 1)
    service, address = refusing
    service.code, service.reason = grpc.StatusCode[status], reason
    result = CliRunner().invoke(main, ["batches"], env={"CLICKSTREAM_ADDRESS": address})
    assert (result.exit_code, result.stderr) == (code, f"clickstream: {status}: because\n")


def test_a_server_that_is_away_is_code_4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any server a command ends with 4, so that the scheduler repeats it."""
    monkeypatch.setattr(calls, "ATTEMPTS", 1)
    result = CliRunner().invoke(main, ["batches", "--address", "127.0.0.1:9"])
    assert result.exit_code == ExitCode.SERVER_AWAY
    assert result.stderr.startswith("clickstream: UNAVAILABLE: ")
    assert len(result.stderr.splitlines()) == 1


def test_wrong_credentials_are_wrong_use(refusing: tuple[Refusing, str], tmp_path: Path) -> None:
    """TLS to a port of plain text is UNAVAILABLE to gRPC, but no repetition mends it: 2, not 4."""
    authority = Authority(tmp_path)
    result = CliRunner().invoke(main, ["batches", "--address", refusing[1], "--tls-ca", str(authority.file)])
    assert "plain text" in result.output
    assert result.exit_code == ExitCode.WRONG_USE


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt in the middle of any call ends with 130, not with click's 1."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("clickstream.client.admin.AdminClient.batches", interrupted)
    assert CliRunner().invoke(main, ["batches"]).exit_code == ExitCode.INTERRUPTED


@pytest.mark.parametrize("words", sorted(set(commands()) - SERVERS))
def test_every_command_that_calls_takes_an_address_and_prints_json(words: str) -> None:
    """`--address` also comes from CLICKSTREAM_ADDRESS, and `--json` is there for scripts."""
    options = {option.name: option for option in commands()[words].params}
    assert options["address"].envvar == "CLICKSTREAM_ADDRESS"
    assert "as_json" in options


@pytest.mark.parametrize("words", sorted(commands()))
def test_every_command_and_option_has_a_help_text(words: str) -> None:
    """Each text is a sentence: it begins with a capital letter or a sign and ends with a full stop."""
    command = commands()[words]
    texts = [command.help, *(option.help for option in command.params if isinstance(option, click.Option))]
    for text in texts:
        assert text is not None
        assert text.strip().endswith("."), text
        assert not text[0].islower(), text


@pytest.mark.parametrize(
    ("words", "environment", "code"),
    [
        (["serve", "--listen", "no-host:1", "--insecure"], {}, ExitCode.FAILED),
        (["serve", "--listen", "0.0.0.0:0"], {}, ExitCode.WRONG_USE),
        (["serve", "--listen", "http://127.0.0.1:0"], {}, ExitCode.WRONG_USE),
        (["serve", "--tokens", "/no/such/file"], {}, ExitCode.WRONG_USE),
        (["serve"], {"CLICKSTREAM_RUN_LEASE": "soon"}, ExitCode.WRONG_USE),
        (["serve"], {"CLICKSTREAM_IMPORTANCE_POLICY": "/no/such/file"}, ExitCode.WRONG_USE),
        (["worker"], {"MONGODB_URI": ""}, ExitCode.WRONG_USE),
        (
            ["worker"],
            {"MONGODB_URI": "mongodb://127.0.0.1:9/?directConnection=true", "CLICKSTREAM_STORE_TIMEOUT": "1"},
            ExitCode.SERVER_AWAY,
        ),
    ],
)
def test_a_server_that_cannot_start_says_whether_a_setting_is_wrong(
    tmp_path: Path, words: list[str], environment: dict[str, str], code: ExitCode
) -> None:
    """2 for a wrong setting or file, 4 for a store that is away, 1 otherwise; one line and no traceback."""
    command = [sys.executable, "-m", "clickstream", *words, "--data-dir", str(tmp_path / "data")]
    ran = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_version_is_printed() -> None:
    """`--version` names the program and the version of the package."""
    assert CliRunner().invoke(main, ["--version"]).output == f"clickstream, version {version('clickstream')}\n"


def test_help_is_fast_and_imports_no_large_library() -> None:
    """`clickstream --help` takes less than half a second of CPU: no gRPC, torch, pydantic or rich is imported."""
    script = (
        "import resource, sys; from clickstream.cli.commands import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(used.ru_utime + used.ru_stime, [m for m in ('grpc', 'torch', 'pydantic', 'rich') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    seconds, _, modules = ran.stdout.splitlines()[-1].partition(" ")
    assert (float(seconds) < 0.5, modules) == (True, "[]"), ran.stdout


def test_an_argument_that_is_no_text_is_wrong_use() -> None:
    """Bytes that are not UTF-8 in an argument are refused in words, with code 2."""
    command = [sys.executable, "-m", "clickstream", "mark", b"\xff", "--address", "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (done.returncode, b"Traceback" in done.stderr) == (ExitCode.WRONG_USE, False)
    assert b"is not UTF-8" in done.stderr


def test_ctrl_c_does_not_wait_for_a_silent_server() -> None:
    """Ctrl-C ends a command that calls from several threads within seconds, though the server never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "clickstream", "mark", "a", "b", "--address", address]
        with subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=take_ctrl_c) as process:
            connection, _ = silent.accept()  # the calls are under way
            with connection:
                time.sleep(0.5)
                process.send_signal(signal.SIGINT)
                interrupted_at = time.monotonic()
                code = process.wait(timeout=60)
            assert (code, time.monotonic() - interrupted_at < 10) == (ExitCode.INTERRUPTED, True)
