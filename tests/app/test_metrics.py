"""The port of metrics and probes, of one process and of several."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import grpc
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from pymongo.database import Database
from support.builders import create_request
from support.certificates import Authority
from support.processes import children
from support.scraping import get, samples, total
from support.servers import ServeProcess, wait_for

from clickstream.credentials.pem import not_after
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document


def test_one_process_shows_its_calls_its_writes_and_its_store(
    serve: Callable[..., ServeProcess], mongod: EmbeddedMongo, database: Database[Document], tmp_path: Path
) -> None:
    """Figures of every source are there, also the certificate's end; readiness follows the store."""
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("server", "127.0.0.1")
    options = ("--metrics-listen", "127.0.0.1:0", "--tls-cert", str(certificate), "--tls-key", str(key))
    server = serve(*options, MONGODB_URI=mongod.uri, CLICKSTREAM_DATABASE=database.name)
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
    with grpc.secure_channel(server.address, credentials) as channel:
        ClickstreamServiceStub(channel).CreateSession(create_request("s-1"))
    wait_for(lambda: get(server, "/readyz")[0] == 200)
    found = samples(server)
    assert total(found, "grpc_server_handled_total", grpc_method="CreateSession", grpc_code="OK") == 1
    assert total(found, "clickstream_write_group_documents_sum") == 1
    assert total(found, "clickstream_collecting_batch_sessions") == 1
    assert total(found, "clickstream_store_command_seconds_count", command="insert") >= 1
    assert total(found, "clickstream_store_figures_up") == 5
    end = not_after(certificate).timestamp()
    assert total(found, "clickstream_certificate_not_after_timestamp_seconds", door="public") == end
    assert total(found, "process_resident_memory_bytes") > 2**20
    assert get(server, "/healthz")[0] == 200
    assert get(server, "/nothing")[0] == 404


def test_one_port_shows_all_processes(
    serve: Callable[..., ServeProcess], mongod: EmbeddedMongo, database: Database[Document]
) -> None:
    """The supervisor's port has each process under its label, adds up, and says which one does not answer."""
    options = ("--metrics-listen", "127.0.0.1:0", "--processes", "2", "--no-pin")
    server = serve(*options, MONGODB_URI=mongod.uri, CLICKSTREAM_DATABASE=database.name)
    wait_for(lambda: get(server, "/readyz")[0] == 200)
    for number in range(10):
        with grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            ClickstreamServiceStub(channel).CreateSession(create_request(f"s-{number}"))
    found = samples(server)
    assert total(found, "grpc_server_handled_total", grpc_method="CreateSession", grpc_code="OK") == 10
    assert {dict(of)["process"] for name, of in found if name == "clickstream_process_up"} == {
        *("serving-1", "serving-2", "trainer")
    }
    assert total(found, "clickstream_process_up") == 3
    assert [value for (name, _), value in found.items() if name == "clickstream_collecting_batch_sessions"] == [10]
    [trainer] = children(server.pid, b"trainer")
    os.kill(trainer, signal.SIGKILL)
    assert wait_for(lambda: total(samples(server), "clickstream_process_up", process="trainer") == 0)
