"""Random interleavings of writes, reads, releases and the queue by several clients, against a plain model of the rules.

An answer may be lost: the model then takes what the call was bound to do, and the client repeats it (R1).
"""

import itertools
from typing import Any

import grpc
import pymongo
import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch_pb
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from support.builders import create_request, event, new_id, push_request, release_request
from support.servers import Clock, InProcessServer, reason

from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao

IDS = st.sampled_from([f"s-{number}" for number in range(6)])
QUERIES = st.sampled_from(["red shoe", "blue shoe"])
EVENTS = st.lists(
    st.tuples(st.sampled_from(["e-1", "e-2", "e-3"]), st.sampled_from(["a", "b"])), min_size=1, max_size=3
)
RELEASES = st.sampled_from(["r-1", "r-2", "r-3"])
# How often a call is made before its caller gets to see an answer.
TIMES = st.integers(1, 3)
CLIENTS = st.integers(0, 1)


class Rules(RuleBasedStateMachine):
    """Two servers over one store, and what they must answer."""

    servers: tuple[InProcessServer, InProcessServer]

    def __init__(self) -> None:
        super().__init__()
        self.sessions: dict[str, tuple[str, int, str]] = {}  # batch, number, query
        self.events: dict[str, dict[str, str]] = {}  # by session, event id → object
        self.irrelevant: set[str] = set()
        self.queued: set[str] = set()
        self.releases: dict[str, str] = {}
        self.batch = 1
        self.prefix = new_id("m")  # sessions of this example
        self.start = self._start()

    def _start(self) -> int:
        """Releases what earlier examples left; returns the number of the batch that then collects."""
        server = self.servers[0]
        batch = server.batch.GetBatch(batch_pb.GetBatchRequest()).batch
        if batch.session_count:
            server.batch.ReleaseBatch(release_request(new_id("r")))
            batch = server.batch.GetBatch(batch_pb.GetBatchRequest()).batch
        return int(batch.batch_id.removeprefix("batch-"))

    def name(self, short: str) -> str:
        """The id in the store."""
        return f"{self.prefix}-{short}"

    def batch_id(self, number: int) -> str:
        """The id of this example's batch, counted from 1."""
        return f"batch-{self.start + number - 1}"

    @rule(short=IDS, query=QUERIES, times=TIMES, client=CLIENTS)
    def create(self, short: str, query: str, times: int, client: int) -> None:
        """R1, R8: a new id gets the next number; the same content the same place; other content changes nothing."""
        request = create_request(self.name(short), query=query)
        for attempt in range(times):
            known = self.sessions.get(short)
            answer, error = outcome(self.servers[(client + attempt) % 2].clickstream.CreateSession, request)
            if known is not None and known[2] != query:
                assert error == "CONTENT_CONFLICT"
                continue
            if known is None:
                numbers = [number for batch, number, _ in self.sessions.values() if batch == self.batch_id(self.batch)]
                known = self.sessions[short] = (self.batch_id(self.batch), len(numbers) + 1, query)
                assert answer.created
            else:
                assert not answer.created
            assert (answer.batch_id, answer.session_number) == known[:2]

    @rule(short=IDS, acts=EVENTS, times=TIMES, client=CLIENTS)
    def push(self, short: str, acts: list[tuple[str, str]], times: int, client: int) -> None:
        """R2, R4: each event is accepted, a duplicate or a conflict; those of an unknown session are stored nowhere."""
        request = push_request(self.name(short), *(event(event_id, object_id) for event_id, object_id in acts))
        for attempt in range(times):
            answer, error = outcome(self.servers[(client + attempt) % 2].clickstream.PushEvents, request)
            if short not in self.sessions:
                assert error == "SESSION_NOT_FOUND"
                continue
            stored, expected = self.events.setdefault(short, {}), [0, 0, 0]
            for event_id, object_id in acts:
                kind = 0 if event_id not in stored else 1 if stored[event_id] == object_id else 2
                expected[kind] += 1
                stored.setdefault(event_id, object_id)
            assert [answer.accepted_count, answer.duplicate_count, answer.conflict_count] == expected

    @rule(short=IDS, irrelevant=st.booleans(), times=TIMES, client=CLIENTS)
    def mark(self, short: str, irrelevant: bool, times: int, client: int) -> None:
        """R11: a mark, or its removal, holds for every server, however often it is asked for."""
        for attempt in range(times):
            stub = self.servers[(client + attempt) % 2].clickstream
            if irrelevant:
                mark = pb.MarkSessionIrrelevantRequest(session_id=self.name(short))
                _, error = outcome(stub.MarkSessionIrrelevant, mark)
            else:
                _, error = outcome(stub.RestoreSession, pb.RestoreSessionRequest(session_id=self.name(short)))
            assert error == ("" if short in self.sessions else "SESSION_NOT_FOUND")
        if short in self.sessions:
            (self.irrelevant.add if irrelevant else self.irrelevant.discard)(short)

    @rule(release=RELEASES, times=TIMES, client=CLIENTS)
    def release(self, release: str, times: int, client: int) -> None:
        """R10: a release id releases one batch, once; an empty batch is not released."""
        for attempt in range(times):
            request = release_request(self.name(release))
            answer, error = outcome(self.servers[(client + attempt) % 2].batch.ReleaseBatch, request)
            if release not in self.releases:
                if not any(batch == self.batch_id(self.batch) for batch, *_ in self.sessions.values()):
                    assert error == "BATCH_EMPTY"
                    continue
                self.releases[release] = self.batch_id(self.batch)
                self.batch += 1
            assert answer.batch.batch_id == self.releases[release]

    @rule(short=IDS, times=TIMES, client=CLIENTS)
    def use(self, short: str, times: int, client: int) -> None:
        """R15: a session is put forward once; an irrelevant or eventless one is refused with its reason."""
        for attempt in range(times):
            use = improvement_pb.UseSessionForImprovementRequest(session_id=self.name(short))
            _, error = outcome(self.servers[(client + attempt) % 2].improvement.UseSessionForImprovement, use)
            if short not in self.sessions:
                assert error == "SESSION_NOT_FOUND"
            elif short in self.queued:
                assert error == ""
            elif short in self.irrelevant:
                assert error == "SESSION_IRRELEVANT"
            elif not self.events.get(short):
                assert error == "SESSION_EVENTLESS"
            else:
                assert error == ""
                self.queued.add(short)

    @invariant()
    def readers_agree(self) -> None:
        """R6, R9, R11: both servers list each batch of the model, in the order of its numbers, with all events."""
        for server, number in itertools.product(self.servers, range(1, self.batch + 1)):
            request = batch_pb.StreamBatchSessionsRequest(batch_id=self.batch_id(number), include_irrelevant=True)
            answers, error = outcome(lambda each: list(server.batch.StreamBatchSessions(each)), request)  # noqa: B023
            found = [each.stored_session for each in answers or []]
            assert error in ("", "BATCH_NOT_FOUND")
            expected = sorted(
                (place, short, query)
                for short, (batch, place, query) in self.sessions.items()
                if batch == self.batch_id(number)
            )
            assert [(each.session_number, each.session.session_id, each.session.query) for each in found] == [
                (place, self.name(short), query) for place, short, query in expected
            ]
            for stored, (_, short, _) in zip(found, expected, strict=True):
                assert stored.irrelevant == (short in self.irrelevant)
                events = {each.event_id: each.object_id for each in stored.events}
                assert events == self.events.get(short, {})


def outcome(call: Any, request: Any) -> tuple[Any, str]:
    """The answer, or why there is none."""
    try:
        return call(request), ""
    except grpc.RpcError as error:
        return None, reason(error)


@pytest.mark.parametrize(
    ("examples", "steps"), [(6, 25), pytest.param(30, 50, marks=pytest.mark.full)], ids=["few", "many"]
)
def test_r1_r15_any_interleaving_follows_the_rules(
    mongo_client: "pymongo.MongoClient[Document]", examples: int, steps: int
) -> None:
    """R1, R2, R4, R8 to R11, R15: whatever two servers are asked, in any order, the model says so, too."""
    database = mongo_client[new_id("rules")]
    prepare_schema(database)
    with InProcessServer(MongoDao(database), Clock()) as one, InProcessServer(MongoDao(database), Clock()) as other:
        Rules.servers = (one, other)
        bounded = settings(max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True)
        run_state_machine_as_test(Rules, settings=bounded)
    mongo_client.drop_database(database.name)
