"""Which robots the packaged policy finds among people, and what robots do to a model, with and without the filter.

    python benchmarks/robots.py                    # some 15 minutes on two cores
    python benchmarks/robots.py --people 200 --shares 0.2 --visits 5    # a try

A server of its own takes simulated searches of two past days. Its worker judges the days; what it says is compared with
what was planted. Then models train on the demo's visits with a share of robots, with all verdicts and with none.
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from embedding_studio.clickstream.v1 import fine_tuning_settings_pb2, training_run_pb2
from measuring import machine_and_versions, write_table

from clickstream.app.trainer import packaged_model
from clickstream.client.admin import AdminClient
from clickstream.client.analytics import AnalyticsClient
from clickstream.client.calls import call, clickstream_stub
from clickstream.demo.catalogue import Item, make_catalogue
from clickstream.demo.comparison import compare_rankings
from clickstream.demo.own_server import own_server
from clickstream.demo.ranking import ranker
from clickstream.demo.shoppers import Rank, Shop, Visit, Want, make_wants

DAYS, ROBOTS_OF_A_KIND, QUERIES, NEVER_PLAYED = 2, 10, 240, 60
IN_FLIGHT = 16
# The worker makes the rows of a day, and judges it, within half a minute after its last write.
QUIET_SECONDS, LONGEST_WAIT = 45.0, 600.0
KINDS = ("crawler", "rank checker", "click-everything", "one-query hammer", "slow mimic")
WITH_TARGET = KINDS[:4]


@dataclass(frozen=True, slots=True)
class Search:
    """A search with the delays of its clicks in seconds, by place."""

    session_id: str
    user: str
    at: datetime
    query: str
    shown: Sequence[str]
    clicks: Sequence[tuple[int, float]] = ()


def people(draw: random.Random, day: datetime, queries: Sequence[str], count: int) -> Iterator[Search]:
    """People of a day: a few searches each in one to four visits, and one in a hundred who searches 50 to 120 times."""
    for person in range(count):
        user = f"person-{person}"
        searches = (
            draw.randrange(50, 121) if person % 100 == 0 else min(45, max(1, round(draw.lognormvariate(1.1, 0.9))))
        )
        visits = sorted(day + timedelta(seconds=draw.uniform(6 * 3_600, 22 * 3_600)) for _ in range(draw.randint(1, 4)))
        at = dict(enumerate(visits))
        for number in range(searches):
            visit = number * len(visits) // searches
            at[visit] += timedelta(seconds=min(900.0, draw.lognormvariate(3.2, 0.9)))
            shown = draw.sample(OBJECTS, 12)
            clicked = [place for place in range(12) if draw.random() < 0.35 / (1 + place)]
            delays = [(place, draw.uniform(2, 40)) for place in clicked]
            name = f"{user}-{day:%m%d}-{number}"
            yield Search(name, user, min(at[visit], day + timedelta(hours=23.9)), draw.choice(queries), shown, delays)


def robot(draw: random.Random, kind: str, user: str, day: datetime, queries: Sequence[str]) -> Iterator[Search]:
    """The searches of one robot on one day."""
    begin = day + timedelta(seconds=draw.uniform(0, 3_600))
    everything = [(place, 1.0 + place) for place in range(12)]
    plan: dict[str, tuple[int, float]] = {
        "crawler": (1_200, 2.0),
        "rank checker": (40, 1_800.0),
        "click-everything": (8, 900.0),
        "one-query hammer": (600, 60.0),
        "slow mimic": (30, 1_500.0),
    }
    count, gap = plan[kind]
    at, one = begin, draw.choice(queries)
    for number in range(count):
        # A rank checker is on time to the second; the others are not.
        at += timedelta(seconds=gap + draw.uniform(-0.5, 0.5) if kind == "rank checker" else draw.expovariate(1 / gap))
        query = {"crawler": queries[number % len(queries)], "one-query hammer": one}.get(kind, draw.choice(queries))
        clicks = everything if kind == "click-everything" else ()
        if kind == "slow mimic":
            clicks = [(draw.randrange(12), draw.uniform(2, 40))]
        if at < day + timedelta(hours=23.9):
            yield Search(f"{user}-{day:%m%d}-{number}", user, at, query, draw.sample(OBJECTS, 12), clicks)


OBJECTS = [f"object-{number}" for number in range(400)]


def send(stub: Any, searches: Sequence[Search], items: Sequence[Item] = (), *, without_user: bool = False) -> None:
    """Sends searches and clicks as history; results of `items` have their meta."""
    meta = {item.object_id: item.meta for item in items}

    def one(search: Search) -> None:
        request = service.CreateSessionRequest(historical=True)
        session = request.session
        session.session_id, session.query = search.session_id, search.query
        session.user_id = "" if without_user else search.user
        session.created_at.FromDatetime(search.at)
        for object_id in search.shown:
            session.results.add(object_id=object_id).meta.update(meta.get(object_id, {}))
        call(stub.CreateSession, request)
        if search.clicks:
            push = service.PushEventsRequest(session_id=search.session_id, historical=True)
            for index, (place, delay) in enumerate(search.clicks):
                event = push.events.add(event_id=f"{index}", object_id=search.shown[place], type="click")
                event.created_at.FromDatetime(search.at + timedelta(seconds=delay))
            call(stub.PushEvents, push)

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        list(pool.map(one, searches, chunksize=50))


def wait_until_judged(client: AnalyticsClient) -> int:
    """Waits until the verdicts have seen everything; returns the number of the newest."""
    written, before, since = datetime.now(UTC), -1, time.monotonic()
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        coverage = client.progress(page_size=1).coverage
        exact = coverage.HasField("exact_until") and coverage.exact_until.ToDatetime(UTC) >= written
        if coverage.robot_verdict_number != before or not exact:
            before, since = coverage.robot_verdict_number, time.monotonic()
        if exact and time.monotonic() - since > QUIET_SECONDS:
            return before
        time.sleep(1)
    raise SystemExit("the worker did not judge the days in time")


def detection(channel: grpc.Channel, days: Sequence[datetime], count: int) -> list[list[str]]:
    """Plants robots among people; returns a row per kind, and one for people."""
    draw, stub = random.Random(5), clickstream_stub(channel)
    queries = [f"query {number}" for number in range(400)]
    planted = Counter[str]()
    for day in days:
        searches = list(people(draw, day, queries, count))
        for kind in KINDS:
            for number in range(ROBOTS_OF_A_KIND):
                searches += robot(draw, kind, f"{kind}-{number}", day, queries)
        seen = {(search.user, day) for search in searches}
        planted.update(user.rpartition("-")[0] for user, _ in seen)
        send(stub, searches)
        unknown = [
            replace(search, session_id=f"unknown-{search.session_id}")
            for kind in KINDS
            for search in robot(draw, kind, f"{kind}-x", day, queries)
        ]
        send(stub, unknown, without_user=True)
    client = AnalyticsClient(channel)
    wait_until_judged(client)
    found = Counter(each.user_id.rpartition("-")[0] for each in client.robot_verdicts() if each.robot and each.in_force)
    unsure = Counter(
        each.user_id.rpartition("-")[0]
        for day in days
        for each in client.preview_robots(f"{day:%Y-%m-%d}", include_unsure=True).judgements
        if getattr(each, "class") == 2
    )
    rows = [
        [kind, f"{planted[kind]:,}", f"{found[kind]:,}", f"{found[kind] / planted[kind]:.3f}", f"{unsure[kind]:,}"]
        for kind in (*KINDS, "person")
    ]
    right = sum(found[kind] for kind in WITH_TARGET)
    of_them = sum(planted[kind] for kind in WITH_TARGET)
    wrong = found["person"]
    precision = right / (right + wrong) if right + wrong else 0.0
    rows.append(
        [
            "**the first four together**",
            f"{of_them:,}",
            f"{right:,}",
            f"{right / of_them:.3f}",
            f"precision {precision:.4f}",
        ]
    )
    return rows


def mixed(visits: Sequence[Visit], share: float, day: datetime, draw: random.Random) -> list[Search]:
    """The demo's visits of people over a day, with robots that click every result until they make this share."""
    kept = [visit for visit in visits if not visit.robot and not visit.category_page]
    wanted = round(len(kept) * share / (1 - share)) if share else 0
    searches = []
    for visit in kept:
        shown = [item.object_id for item in visit.shown]
        places = [(shown.index(name), draw.uniform(2, 40)) for kind, name in visit.acts if kind == "click"]
        at = day + timedelta(seconds=draw.uniform(0, 86_000))
        searches.append(Search(f"v-{share}-{visit.number}", f"{share}-{visit.shopper}", at, visit.query, shown, places))
    for number in range(wanted):
        visit = draw.choice(kept)
        shown = [item.object_id for item in visit.shown]
        at = day + timedelta(seconds=draw.uniform(0, 86_000))
        clicks = [(place, 1.0 + place) for place in range(len(shown))]
        searches.append(Search(f"r-{share}-{number}", f"robot-{share}-{number // 10}", at, visit.query, shown, clicks))
    return searches


def trained(
    channel: grpc.Channel,
    share: float,
    visits: Sequence[Visit],
    items: Sequence[Item],
    never: Sequence[Want],
    rank: Rank,
) -> list[list[str]]:
    """Trains on visits with this share of robots, without and with the filter; returns a row for each."""
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    admin, client = AdminClient(channel), AnalyticsClient(channel)
    if admin.batch().session_count:
        admin.release_batch(f"before-{share}")
    send(clickstream_stub(channel), mixed(visits, share, day, random.Random(7)), items)
    batch = admin.release_batch(f"robots-{share}")
    newest = wait_until_judged(client)
    rows = []
    for name, number in (("without", 0), ("with", newest))[: 2 if share else 1]:
        run_id = f"{name}-{share}"
        settings = fine_tuning_settings_pb2.FineTuningSettings(
            base_model=packaged_model(), item_template="{title}. {text}", epochs=5, max_tokens=64
        )
        admin.start_training(run_id, [batch.batch_id], settings, robot_verdict_number=number)
        run = list(admin.watch_training(run_id))[-1]
        if run.state != training_run_pb2.TRAINING_RUN_STATE_SUCCEEDED:
            raise SystemExit(f"the run {run_id} did not succeed: {run.reason}")
        comparison = compare_rankings(never, items, rank, ranker(run.model_version.path))
        skipped = run.conversion.skipped_sessions.get("robot", 0)
        gain = run.model_version.evaluation.ndcg_gain
        rows.append(
            [
                f"{share:.0%}",
                name,
                f"{run.conversion.input_count:,}",
                f"{skipped:,}",
                f"{comparison.ndcg_before:.3f}",
                f"{comparison.ndcg_after:.3f}",
                f"{gain.mean:+.3f} ({gain.lower:+.3f} to {gain.upper:+.3f})",
            ]
        )
    return rows


def main() -> None:
    """Runs both parts and writes their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=2_000, help="people of each day (2,000)")
    parser.add_argument("--visits", type=int, default=20, help="visits for each of 240 searches of the shop (20)")
    parser.add_argument(
        "--shares", type=float, nargs="*", default=[0.0, 0.05, 0.2], help="shares of robots in training"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "robots.md")
    arguments = parser.parse_args()
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - timedelta(days=back) for back in range(DAYS + 1, 1, -1)]
    with (
        tempfile.TemporaryDirectory() as folder,
        own_server(Path(folder), "127.0.0.1:0") as address,
        grpc.insecure_channel(address) as channel,
    ):
        found = detection(channel, days, arguments.people)
        items = make_catalogue()
        wants = make_wants(items, QUERIES + NEVER_PLAYED)
        rank = ranker(packaged_model())
        visits = list(Shop(items, wants[:QUERIES], rank).visits(arguments.visits))
        models = [
            row for share in arguments.shares for row in trained(channel, share, visits, items, wants[QUERIES:], rank)
        ]
    about = machine_and_versions("clickstream", "polars", "torch")
    columns = ["kind", "users and days", "found", "recall", "unsure"]
    text = (
        "Each robot also searched without a user id; without one nobody is judged, so none of those is found. " + about
    )
    write_table(arguments.output, "Robots among people, by the packaged policy", text, columns, found)
    lines = [
        "",
        "## Models trained with robots that click every result",
        "",
        "| robots / searches | filter | inputs | left out | nDCG@10 before | after | gain on held-out clicks |",
        *(["|---|---|---|---|---|---|---|"]),
        *(f"| {' | '.join(row)} |" for row in models),
        "",
        f"nDCG@10 by the simulation's truth on {NEVER_PLAYED} searches that were never made. Robots that are not left"
        " out click in the held-out searches as well.",
    ]
    with arguments.output.open("a") as page:
        page.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
