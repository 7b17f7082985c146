"""Several serving processes on one port: one is killed, all get SIGTERM (R20), their parent is killed."""

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pymongo.database import Database
from support.builders import create_request
from support.processes import CLIENTS, children, clients, connections, is_alive
from support.servers import PATIENCE, ServeProcess, until, wait_for
from support.two_servers import Traffic

from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao

SESSIONS = 3_000
WRITERS = 32

Serve = Callable[..., ServeProcess]


async def traffic_with_a_kill(server: ServeProcess) -> Traffic:
    """Writes everything over connections to both processes, one of which is killed half-way, and reads it back."""
    traffic = Traffic([server.address] * WRITERS)
    ids = itertools.count()
    writers = [asyncio.create_task(traffic.write(index, ids, SESSIONS)) for index in range(WRITERS)]
    await until(lambda: len(traffic.written) > SESSIONS / 2, patience=60)
    os.kill(children(server.pid, b"serve")[0], signal.SIGKILL)
    await asyncio.gather(*writers)
    traffic.writing = False
    await traffic.release(0)
    await traffic.read_pages()
    await traffic.close()
    return traffic


def test_r8_r9_what_two_processes_acknowledge_is_read_exactly_once(
    serve: Serve, mongod: EmbeddedMongo, database: Database[Document]
) -> None:
    """R3, R8, R9: after concurrent writes and a kill -9, every acknowledged session is read once; numbers are dense."""
    server = serve("--processes", "2", MONGODB_URI=mongod.uri, CLICKSTREAM_DATABASE=database.name)
    traffic = asyncio.run(traffic_with_a_kill(server))
    assert len(traffic.written) == SESSIONS
    placed = sorted((number, session_id) for session_id, (_, number) in traffic.written.items())
    assert [number for number, _ in placed] == list(range(1, SESSIONS + 1))
    assert traffic.paged["batch-1"] == placed


def test_a_killed_process_comes_back_while_the_other_serves(
    serve: Serve, mongod: EmbeddedMongo, database: Database[Document]
) -> None:
    """Kill -9 fails only calls on the dead process's connections; a new process takes its place and its core."""
    server = serve("--processes", "2", "--pin", MONGODB_URI=mongod.uri, CLICKSTREAM_DATABASE=database.name)
    victim, survivor = children(server.pid, b"serve")
    with clients(server.address) as channels:
        stubs: list[Any] = [ClickstreamServiceStub(channel) for channel in channels]
        for stub in stubs:
            stub.CreateSession(create_request("before"), timeout=PATIENCE)
        lost, core = connections(victim, server.address), os.sched_getaffinity(victim)
        assert 0 < lost < CLIENTS
        os.kill(victim, signal.SIGKILL)
        calls = [stub.CreateSession.future(create_request("after"), timeout=PATIENCE) for stub in stubs]
        failed = [call.exception().code() for call in calls if call.exception() is not None]
    assert len(failed) <= lost
    assert set(failed) <= {grpc.StatusCode.UNAVAILABLE}
    [replacement] = wait_for(lambda: [pid for pid in children(server.pid, b"serve") if pid not in (victim, survivor)])
    wait_for(lambda: os.sched_getaffinity(replacement) == core)

    def serves_connections() -> bool:
        with clients(server.address) as channels:
            for channel in channels:
                with contextlib.suppress(grpc.RpcError):
                    ClickstreamServiceStub(channel).CreateSession(create_request("after"), timeout=PATIENCE)
            return connections(replacement, server.address) > 0

    wait_for(serves_connections)


@pytest.mark.alone
def test_r20_one_sigterm_drains_every_process(
    serve: Serve, mongod: EmbeddedMongo, database: Database[Document]
) -> None:
    """R20: one SIGTERM drains all processes with exit code 0; every call is stored or failed as UNAVAILABLE."""
    server = serve("--processes", "2", MONGODB_URI=mongod.uri, CLICKSTREAM_DATABASE=database.name)
    pids = children(server.pid)
    with clients(server.address) as channels:
        stubs: list[Any] = [ClickstreamServiceStub(channel) for channel in channels]
        for number, stub in enumerate(stubs):
            stub.CreateSession(create_request(f"first-{number}"), timeout=PATIENCE)
        assert min(connections(pid, server.address) for pid in children(server.pid, b"serve")) > 0
        watches = [health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()) for channel in channels]
        assert {next(watch).status for watch in watches} == {health_pb2.HealthCheckResponse.SERVING}
        calls = [stubs[number % CLIENTS].CreateSession.future(create_request(f"s-{number}")) for number in range(400)]
        server.terminate()
        assert {next(watch).status for watch in watches} == {health_pb2.HealthCheckResponse.NOT_SERVING}
        codes = {call.exception().code() for call in calls if call.exception() is not None}
        done = [f"s-{number}" for number, call in enumerate(calls) if call.exception() is None]
    assert codes <= {grpc.StatusCode.UNAVAILABLE}
    assert server.wait() == 0
    assert not any(map(is_alive, pids))
    sessions = MongoDao(database).sessions
    assert all(sessions.get(session_id) for session_id in done)


def test_all_processes_end_when_the_parent_is_killed(serve: Serve) -> None:
    """Kill -9 of the parent ends serving processes, trainer and MongoDB; acknowledged writes survive."""
    server = serve("--processes", "2")
    with grpc.insecure_channel(server.address) as channel:
        assert ClickstreamServiceStub(channel).CreateSession(create_request("s-1"), timeout=PATIENCE).created
    pids = children(server.pid)
    assert len(pids) == 4
    server.kill()
    wait_for(lambda: not any(map(is_alive, pids)))
    again = serve("--processes", "1")
    with grpc.insecure_channel(again.address) as channel:
        assert not ClickstreamServiceStub(channel).CreateSession(create_request("s-1"), timeout=PATIENCE).created
    again.terminate()
    assert again.wait() == 0
