"""How fast figures over 30 days are answered, how fast roll-ups are made, and what both cost.

    python benchmarks/analytics.py                       # 10 million events; some 20 minutes on two cores
    python benchmarks/analytics.py --events 200000       # a try

Fills an embedded MongoDB in a temporary folder, lets `clickstream worker` make the roll-ups, and asks `clickstream
serve` on the other core. The limits in the same run: volume and events by type, by reading and parsing every payload in
Python, and by MongoDB's aggregation.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import numpy as np
from embedding_studio.clickstream.v1 import session_pb2
from measuring import cpu_seconds, machine_and_versions, peak_memory, pin, write_table

from clickstream.client.analytics import AnalyticsClient, side_of, window_of
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import connect
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.sessions import EventDraft, EventPush, SessionDraft

DAYS, RESULTS, EVENTS_OF_A_SEARCH = 30, 10, 8
QUERIES, OBJECTS, USERS = 200_000, 100_000, 300_000
GROUP = 1_000
TYPES = ("impression", "impression", "impression", "impression", "impression", "click", "click", "add_to_cart")
SEGMENTS = "context.locale,context.device,meta.brand,meta.category"
END = datetime(2026, 11, 26, tzinfo=UTC)
START = END - timedelta(days=DAYS)
ROUNDS = 10


def zipf(random: np.random.Generator, count: int, kinds: int) -> list[int]:
    """Numbers below `kinds`, the k-th most frequent one in proportion to 1 / k."""
    weights = 1 / np.arange(1, kinds + 1)
    numbers: list[int] = random.choice(kinds, count, p=weights / weights.sum()).tolist()
    return numbers


def searches(count: int) -> Iterator[list[tuple[SessionDraft, list[EventDraft]]]]:
    """Searches in order of time, in groups, each with its events."""
    random = np.random.default_rng(1)
    made = session_pb2.Session()
    for begin in range(0, count, GROUP):
        queries, objects = zipf(random, GROUP, QUERIES), zipf(random, GROUP * RESULTS, OBJECTS)
        users = random.integers(0, USERS, GROUP).tolist()
        group = []
        for index in range(min(GROUP, count - begin)):
            number = begin + index
            at = START + (END - START) * (number / count)
            made.Clear()
            made.session_id, made.query, made.user_id = f"s-{number}", f"query {queries[index]}", f"u-{users[index]}"
            made.client.name = ("web", "app", "api")[number % 3]
            locale, device = ("de", "en", "fr", "es")[number % 4], ("phone", "desk")[number // 4 % 2]
            made.context.update({"locale": locale, "device": device})
            made.created_at.FromDatetime(at)
            shown = dict.fromkeys(objects[index * RESULTS : (index + 1) * RESULTS])
            for item in shown:
                meta = {"title": f"Item number {item}", "brand": f"brand {item % 200}", "category": f"c {item % 20}"}
                made.results.add(object_id=f"o-{item}").meta.update(meta)
            draft = SessionDraft(made.session_id, at, False, made.user_id, made.SerializeToString())
            group.append((draft, events(made, at)))
        yield group


def events(search: session_pb2.Session, at: datetime) -> list[EventDraft]:
    """Eight events of a search, within minutes."""
    drafts = []
    for index, kind in enumerate(TYPES):
        event = session_pb2.Event(event_id=f"e-{index}", type=kind)
        event.object_id = search.results[index % len(search.results)].object_id
        moment = at + timedelta(seconds=1 + 7 * index)
        event.created_at.FromDatetime(moment)
        drafts.append(EventDraft(event.event_id, kind, moment, False, event.SerializeToString()))
    return drafts


def fill(dao: MongoDao, count: int) -> None:
    """Writes the searches and their events."""
    for group in searches(count):
        dao.sessions.append([draft for draft, _ in group])
        dao.events.append([EventPush(draft.session_id, each) for draft, each in group])


def started(command: str, environment: dict[str, str], core: int, ready: bytes) -> subprocess.Popen[bytes]:
    """Starts `clickstream COMMAND` on one core, and returns when it says that it is ready."""
    words = [sys.executable, "-m", "clickstream", *command.split()]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, env=os.environ | environment)
    pin(process.pid, core)
    assert process.stderr is not None
    for line in process.stderr:
        if ready in line:
            break
    else:
        raise SystemExit(f"{command} ended")
    return process


def catch_up(dao: MongoDao, environment: dict[str, str], mongod: int, count: int) -> list[list[str]]:
    """Makes all roll-ups by a worker on one core; returns the rows of the table."""
    began, server = time.perf_counter(), cpu_seconds(mongod)
    worker = started("worker", environment, 0, b"working")
    ranges = cpu = None
    while len(dao.analytics.day_heads()) < DAYS:
        if ranges is None and dao.analytics.state().exact_until is not None:
            ranges, cpu = time.perf_counter() - began, cpu_seconds(worker.pid)
        time.sleep(0.5)
    whole, everything = time.perf_counter() - began, cpu_seconds(worker.pid)
    server = cpu_seconds(mongod) - server
    memory = peak_memory(worker.pid)
    worker.terminate()
    worker.wait(60)
    assert ranges is not None
    assert cpu is not None
    per_event = f"{cpu / count * 1e6:.1f} µs of CPU per event"
    return [
        ["roll-ups of ranges, one core", f"{count / ranges:,.0f} events/s", per_event],
        ["roll-ups of 30 days besides", f"{whole - ranges:.0f} s", f"{everything - cpu:.0f} s of CPU"],
        ["MongoDB meanwhile", "", f"{server / count * 1e6:.1f} µs of CPU per event"],
        ["the worker's memory, peak", f"{memory:,.0f} MiB", ""],
    ]


def questions(client: AnalyticsClient) -> dict[str, Callable[[], object]]:
    """What is asked, each over the 30 days."""
    utc, berlin = window_of(START, END), window_of(START, END, "Europe/Berlin")
    asked: dict[str, Callable[[], object]] = {
        "volume and rates": lambda: client.figures(utc),
        "by day": lambda: client.figures(utc, "day"),
        "by day in Europe/Berlin": lambda: client.figures(berlin, "day"),
        "by day and client": lambda: client.figures(utc, "day", "client"),
        "filtered by client and locale": lambda: client.figures(
            utc, "", "", [("client", ["web"]), ("context.locale", ["de"])]
        ),
    }
    for dimension in ("query", "object", "position", "event_type", "client", *SEGMENTS.split(",")):
        asked[f"by {dimension}"] = lambda dimension=dimension: client.figures(utc, "", dimension)
    for name in ("queries", "lowest_click_through", "items", "items_without_clicks", "rising"):
        asked[f"list {name}"] = lambda name=name: next(client.top(name, utc), None)
    sides = [side_of(utc, [("client", [name])]) for name in ("web", "app")]
    asked["compare two clients"] = lambda: client.compare(*sides)
    return asked


def milliseconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1_000


def by_payload(dao: MongoDao, last: int) -> Counter[str]:
    """Searches and events by type, by reading and parsing every payload."""
    found = Counter[str]()
    for first in range(1, last + 1, GROUP):
        page = dao.sessions.page(1, first - 1, GROUP, include_irrelevant=True).sessions
        of = dao.events.of_sessions(1, first, first + GROUP - 1).of
        for stored in page:
            search = session_pb2.Session.FromString(stored.payload)
            shown = {each.object_id for each in search.results}
            found["searches"] += START <= stored.created_at < END
            for event in of[stored.number].events if stored.number in of else ():
                message = session_pb2.Event.FromString(event.payload)
                found[message.type] += message.object_id in shown
    return found


def by_aggregation(dao: MongoDao) -> object:
    """Searches in the window and events by type, by MongoDB."""
    database = dao._database  # the limit is measured without the service
    count = {"$match": {"created_at": {"$gte": START, "$lt": END}}}, {"$count": "searches"}
    types = [{"$group": {"_id": "$type", "count": {"$sum": 1}}}]
    return list(database["sessions"].aggregate([*count])), list(database["session_events"].aggregate(types))


def measured(events_wanted: int, path: Path) -> list[list[str]]:
    """Fills, catches up and asks; returns the rows of the table."""
    count = events_wanted // EVENTS_OF_A_SEARCH
    mongo = EmbeddedMongo(path / "mongodb", cache_gb=2)
    mongo.start()
    try:
        with connect(mongo.uri, timeout=600) as client:
            prepare_schema(client["analytics"])
            dao = MongoDao(client["analytics"])
            began = time.perf_counter()
            fill(dao, count)
            print(f"filled with {count:,} searches in {time.perf_counter() - began:.0f} s", file=sys.stderr)
            environment = {
                "MONGODB_URI": mongo.uri,
                "CLICKSTREAM_DATABASE": "analytics",
                "CLICKSTREAM_SEGMENTS": SEGMENTS,
                "CLICKSTREAM_DATA_DIR": str(path),
                "CLICKSTREAM_TRAINER": "127.0.0.1:1",
            }
            rows = catch_up(dao, environment, mongo.pid, count * EVENTS_OF_A_SEARCH)
            print("caught up", file=sys.stderr)
            rows += answers(environment)
            parsed, summed = seconds(lambda: by_payload(dao, count)), seconds(lambda: by_aggregation(dao))
            rows.append(["(a) volume and events by type, every payload parsed in Python", parsed, ""])
            rows.append(["(b) the same by MongoDB's aggregation", summed, ""])
    finally:
        mongo.stop()
    return rows


def seconds(work: Callable[[], object]) -> str:
    """How long it takes, once."""
    return f"{milliseconds(work) / 1_000:.1f} s"


def answers(environment: dict[str, str]) -> list[list[str]]:
    """Asks every question in every round; returns the rows of the table."""
    environment = environment | {"CLICKSTREAM_RUN_TRAINING": "false"}
    serve = started("serve --listen 127.0.0.1:50933", environment, 1, b"listening on")
    try:
        with grpc.insecure_channel("127.0.0.1:50933") as channel:
            asked = questions(AnalyticsClient(channel))
            next(iter(asked.values()))()  # loads polars
            times = {name: [milliseconds(work) for _ in range(ROUNDS)] for name, work in asked.items()}
        memory = peak_memory(serve.pid)
    finally:
        serve.terminate()
        serve.wait(60)
    rows = [
        [name, f"{statistics.median(each):,.0f} ms", f"{np.percentile(each, 95):,.0f} ms"]
        for name, each in times.items()
    ]
    every = [each for of_question in times.values() for each in of_question]
    rows.append(["all questions", f"{statistics.median(every):,.0f} ms", f"{np.percentile(every, 95):,.0f} ms"])
    return [*rows, ["the serving process's memory, peak", f"{memory:,.0f} MiB", ""]]


def main() -> None:
    """Measures, and writes benchmarks/results/analytics.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000, help="number of events (default 10,000,000)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "analytics.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(options.events, Path(folder))
    text = (
        f"{options.events // EVENTS_OF_A_SEARCH:,} searches over {DAYS} days, at most {RESULTS} results each, "
        f"{EVENTS_OF_A_SEARCH} events each; {QUERIES:,} queries and {OBJECTS:,} objects by Zipf's law; {USERS:,} "
        f"users; 4 declared segments. Each question {ROUNDS} times, over the 30 days. The server has one core; client "
        f"and MongoDB have no core of their own. Made by `python benchmarks/analytics.py --events {options.events}`. "
        + machine_and_versions("grpcio", "pymongo", "polars")
    )
    write_table(options.out, "Analytics", text, ["what", "median, or rate", "95 %, or cost"], rows)


if __name__ == "__main__":
    main()
