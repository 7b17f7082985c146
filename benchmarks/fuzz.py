"""Random messages at every method: none ends a call as INTERNAL or UNKNOWN, none ends the server, and all still reads.

    python benchmarks/fuzz.py --messages 1000000      # goes on where the file of the last call ended
    python benchmarks/fuzz.py --messages 20000 --out /tmp/fuzz.json

Message number N depends on N alone, so a failure names the number by which it comes again (`--first N --messages 1`).
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent / "tests"))

from embedding_studio.clickstream.v1 import batch_service_pb2 as batch_pb  # noqa: E402
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub  # noqa: E402
from support.random_messages import good_beginning, methods, request_bytes  # noqa: E402
from support.servers import ServeProcess  # noqa: E402

METHODS = methods()
# A server that is there is never UNAVAILABLE, either.
NEVER = {"INTERNAL", "UNKNOWN", "UNAVAILABLE"}
MESSAGES_OF_A_STREAM = 5
AT_ONCE = 16
# Messages between two writes of the file.
PART = 5_000
# A stream of the server that goes on, a watch for example, ends by this deadline.
SECONDS = 1.0
# Batches that reads may look at in the end.
MOST_BATCHES = 200


def send(channel: grpc.Channel, number: int) -> tuple[str, str, int, str]:
    """Sends the messages of one number; returns method, how the call ended, how many messages it took, and details.

    By the blocking client: the asynchronous one replaces the status of a call that ends while it still sends.
    """
    chance = random.Random(number)
    method = chance.choice(METHODS)
    path = f"/{method.containing_service.full_name}/{method.name}"
    requests = [request_bytes(method, chance) for _ in range(MESSAGES_OF_A_STREAM if method.client_streaming else 1)]
    try:
        if method.client_streaming:
            for _ in channel.stream_stream(path)(iter(requests), timeout=SECONDS):
                pass
        elif method.server_streaming:
            for _ in channel.unary_stream(path)(requests[0], timeout=SECONDS):
                pass
        else:
            channel.unary_unary(path)(requests[0], timeout=20)
    except grpc.RpcError as error:
        return method.name, error.code().name, len(requests), str(error.details())[:200]
    return method.name, "OK", len(requests), ""


def fuzz(address: str, first: int, count: int, account: dict[str, Any]) -> int:
    """Sends about so many messages from a number on; returns the number after the last. Adds to the account."""
    with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(AT_ONCE) as threads:
        numbers = range(first, first + count)
        for number, (name, code, messages, details) in zip(
            numbers, threads.map(lambda number: send(channel, number), numbers), strict=True
        ):
            account["messages"] += messages
            account["codes"].setdefault(name, Counter())[code] += 1
            if code in NEVER:
                account["failures"].append([number, name, code, details])
    return first + count


def still_reads(address: str) -> int:
    """Reads every session of every batch; returns how many. Raises if a batch does not have what it says."""
    sessions = 0
    with grpc.insecure_channel(address) as channel:
        stub = BatchServiceStub(channel)
        batches = stub.ListBatches(batch_pb.ListBatchesRequest(page_size=MOST_BATCHES), timeout=60).batches
        for batch in batches:
            request = batch_pb.StreamBatchSessionsRequest(batch_id=batch.batch_id, include_irrelevant=True)
            found = [each.stored_session.session_number for each in stub.StreamBatchSessions(request, timeout=120)]
            if found != list(range(1, batch.session_count + 1)):
                raise AssertionError(f"{batch.batch_id} has {batch.session_count} sessions, and {len(found)} were read")
            sessions += len(found)
    return sessions


def run(messages: int, first: int, out: Path) -> dict[str, Any]:
    """Fuzzes one server of its own; continues the account in `out`."""
    account: dict[str, Any] = {"messages": 0, "next": first, "seconds": 0.0, "sessions_read": 0}
    account |= {"codes": {}, "failures": []}
    if out.exists():
        account = json.loads(out.read_text())
        account["codes"] = {name: Counter(codes) for name, codes in account["codes"].items()}
    wanted = account["messages"] + messages
    with tempfile.TemporaryDirectory() as folder:
        environment = {"CLICKSTREAM_CALLER_CALLS": "1000000", "CLICKSTREAM_RUN_TRAINING": "false"}
        server = ServeProcess(Path(folder), environment)
        try:
            with grpc.insecure_channel(server.address) as channel:
                for request in good_beginning():
                    channel.unary_unary("/embedding_studio.clickstream.v1.ClickstreamService/CreateSession")(request)
            while account["messages"] < wanted and not account["failures"]:
                began = time.monotonic()
                part = min(PART, wanted - account["messages"])
                account["next"] = fuzz(server.address, account["next"], part, account)
                server.read_log()  # raises if the server has ended
                account["seconds"] = round(account["seconds"] + time.monotonic() - began, 1)
                out.write_text(json.dumps(account, indent=1, sort_keys=True))
            account["sessions_read"] = still_reads(server.address)
            out.write_text(json.dumps(account, indent=1, sort_keys=True))
            if b"Traceback" in server.read_log():
                raise AssertionError(server.log.decode()[-3_000:])
            server.terminate()
            if server.wait() != 0:
                raise AssertionError("the server did not end as it should")
        finally:
            server.kill()
    return account


def main() -> None:
    """Fuzzes, and prints how each method's calls ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000, help="how many more to send")
    parser.add_argument("--first", type=int, default=0, help="the number to begin with, if there is no file yet")
    kept = FOLDER / "results" / "fuzz.json"
    parser.add_argument("--out", type=Path, default=kept, help="the account, which is continued")
    given = parser.parse_args()
    account = run(given.messages, given.first, given.out)
    for name, codes in sorted(account["codes"].items()):
        print(f"{name}: {', '.join(f'{code} {count:,}' for code, count in sorted(codes.items()))}")
    print(f"{account['messages']:,} messages in {account['seconds']:,.0f} s; failures: {account['failures'] or 'none'}")
    if account["failures"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
