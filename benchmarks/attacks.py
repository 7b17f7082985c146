"""What honest callers feel, and what memory a server takes, while another caller attacks; and drains under traffic.

    python benchmarks/attacks.py                # 10 s for each attack, 10,000 idle connections, 30 drains
    python benchmarks/attacks.py --short        # 2 s, 500 connections and 2 drains: a test runs this

Starts an embedded MongoDB in a temporary folder and `clickstream serve` with a token file on it. An honest caller
registers 50 sessions a second, before, during and after each attack, which uses a token of its own. The exit code is 1
if an honest call fails, if memory reaches 400 MiB, or if a drain loses a call.
"""

import argparse
import asyncio
import hashlib
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
from attack_load import ATTACKS, batch_to_stream, honest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from measuring import machine_and_versions, resident_memory, server_process, write_table

from clickstream.dao.embedded_mongod import EmbeddedMongo

ATTACK_LOAD = Path(__file__).with_name("attack_load.py")
HONEST, HOSTILE, BATCH = "honest-token", "hostile-token", "batch-token"
RATE = 50.0
MEMORY_MIB = 400
SETTLE_SECONDS = 1.0
# An attacker that has not ended so long after its time is killed.
ATTACKER_SECONDS = 10.0
DRAIN_RATE, DRAIN_CHANNELS = 500, 30


def token_file(folder: Path) -> Path:
    """A token file with the three callers."""
    path = folder / "tokens.toml"
    scopes = ((HONEST, '"client"'), (HOSTILE, '"client", "batch"'), (BATCH, '"admin"'))
    path.write_text(
        "".join(
            f'[[token]]\nname = "{token}"\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n'
            f"scopes = [{scope}]\n"
            for token, scope in scopes
        )
    )
    return path


async def latencies(address: str, during: Awaitable[object], name: str) -> list[float]:
    """The latencies of honest calls while something runs, in seconds."""
    stop = asyncio.Event()

    async def collect() -> list[float]:
        return [latency async for latency in honest(address, HONEST, RATE, stop, name)]

    collecting = asyncio.create_task(collect())
    try:
        await during
    finally:
        stop.set()
    return await collecting


def p99(values: list[float]) -> float:
    """The 99th percentile in milliseconds."""
    return sorted(values)[int(0.99 * (len(values) - 1))] * 1000


async def attacked(name: str, address: str, pid: int, seconds: float, connections: int) -> list[str]:
    """Runs one attack from a process of its own; returns the row of the table."""
    before = p99(await latencies(address, asyncio.sleep(seconds), "before"))
    peak, struck = 0.0, b""

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, resident_memory(pid))
            await asyncio.sleep(0.05)

    async def strike() -> None:
        nonlocal struck
        words = (sys.executable, str(ATTACK_LOAD), name, address, HOSTILE, str(seconds), str(connections))
        attacker = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
        try:
            struck, _ = await asyncio.wait_for(attacker.communicate(), seconds + ATTACKER_SECONDS)
        except TimeoutError:  # gRPC's client can hang when its streams are cut
            attacker.kill()
            await attacker.wait()

    watching = asyncio.create_task(watch())
    during = p99(await latencies(address, strike(), "during"))
    watching.cancel()
    await asyncio.sleep(SETTLE_SECONDS)
    after = p99(await latencies(address, asyncio.sleep(seconds), "after"))
    ratio = f"{during:.0f} ({during / before:.1f})"
    row = [name, f"{int(struck or 0):,}", f"{before:.0f}", ratio, f"{after:.0f}", f"{peak:.0f}"]
    print(" | ".join(row), file=sys.stderr, flush=True)
    return row


async def drained(address: str, pid: int, rounds_of_calls: float) -> Counter[str]:
    """Sends SIGTERM under traffic; returns the statuses of the calls until the server has ended."""
    statuses: Counter[str] = Counter()
    metadata = (("authorization", f"Bearer {HONEST}"),)
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(DRAIN_CHANNELS)]
    loop, calls = asyncio.get_running_loop(), []

    async def call(number: int) -> None:
        request = pb.CreateSessionRequest()
        request.session.session_id = f"drain-{pid}-{number}"
        try:
            await ClickstreamServiceStub(channels[number % DRAIN_CHANNELS]).CreateSession(
                request, metadata=metadata, timeout=30
            )
            statuses["OK"] += 1
        except grpc.aio.AioRpcError as error:
            statuses[error.code().name] += 1

    began, number, told = loop.time(), 0, False
    while not _has_ended(pid):
        calls.append(asyncio.create_task(call(number)))
        number += 1
        if not told and loop.time() > began + rounds_of_calls / 2:
            os.kill(pid, signal.SIGTERM)
            told = True
        await asyncio.sleep(max(0.0, began + number / DRAIN_RATE - loop.time()))
    await asyncio.gather(*calls)
    for channel in channels:
        await channel.close()
    return statuses


def _has_ended(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def run(seconds: float, connections: int, drains: int, output: Path, only: str | None) -> int:
    """Measures everything and writes the table; returns the exit code."""
    rows, wrong = [], []
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mongo = EmbeddedMongo(data / "mongodb", 0.5)
        mongo.start()
        stack.callback(mongo.stop)
        command = ("-m", "clickstream", "serve", "--listen", "127.0.0.1:0", "--data-dir", str(data))
        environment = {
            "MONGODB_URI": mongo.uri,
            "CLICKSTREAM_RUN_TRAINING": "false",
            "CLICKSTREAM_TOKENS": str(token_file(data)),
            "CLICKSTREAM_AUDIT_LOG": str(data / "audit.jsonl"),
        }
        for number, name in enumerate([only] if only else ATTACKS):
            with server_process(None, *command, **environment) as (address, pid):
                if not number:
                    batch_to_stream(address, BATCH, 500)
                rows.append(asyncio.run(attacked(name, address, pid, seconds, connections)))
                if float(rows[-1][-1]) >= MEMORY_MIB:
                    wrong.append(f"{name}: {rows[-1][-1]} MiB")
        totals: Counter[str] = Counter()
        longest = 0.0
        for _ in range(drains):
            with server_process(None, *command, **environment) as (address, pid):
                began = time.monotonic()
                totals += asyncio.run(drained(address, pid, 2.0))
                longest = max(longest, time.monotonic() - began - 1.0)
    counts = ", ".join(f"{count:,} {status}" for status, count in totals.most_common())
    if set(totals) - {"OK", "UNAVAILABLE", "CANCELLED"}:
        wrong.append(f"drains: {counts}")
    text = f"""Honest: {RATE:.0f} calls a second of CreateSession by a caller of its own; latencies in ms, the ratio \
to before in brackets. Memory: resident, of the serving process, which is a new one for each attack. Each attack takes \
{seconds:.0f} s, by one caller with a token of its own, in a process of its own on the same cores. {drains} \
drains under {DRAIN_RATE} calls/s on \
{DRAIN_CHANNELS} channels without retries ended: {counts}; the longest took {longest:.1f} s from SIGTERM to the exit. \
Made by `benchmarks/attacks.py`.

{machine_and_versions("grpcio")}"""
    columns = ["attack", "times", "honest p99 before", "during (ratio)", "after", "memory, peak MiB"]
    write_table(output, "Attacks", text, columns, rows)
    print(output.read_text())
    for each in wrong:
        print(f"wrong: {each}", file=sys.stderr)
    return 1 if wrong else 0


def main() -> None:
    """Parses the arguments and runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=ATTACKS, help="run this attack alone")
    parser.add_argument("--short", action="store_true", help="2 s for each attack, 500 connections, 2 drains")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "attacks.md")
    arguments = parser.parse_args()
    sys.exit(run(*((2.0, 500, 2) if arguments.short else (10.0, 10_000, 30)), arguments.out, arguments.only))


if __name__ == "__main__":
    main()
