"""Succeeded runs, promotions and embeddings, for tests of ModelService."""

from dataclasses import replace
from typing import Any

from embedding_studio.clickstream.v1 import model_service_pb2 as pb

from clickstream.domain.runs import RunState
from clickstream.domain.training_inputs import ConversionSummary
from clickstream.models.embedding_queue import Embedder
from support.builders import NOW, SECOND, model_version, training_run
from support.servers import PATIENCE, InProcessServer


def lengths(model_version_id: str) -> Embedder:
    """Embeds a text as its length."""
    return lambda kind, texts: [[float(len(text))] for text in texts]


def finish(server: InProcessServer, run_id: str, seconds: int = 0, **changes: Any) -> str:
    """Makes a run over the first batch succeed; returns the id of its version."""
    dao = server.dao
    dao.runs.create(training_run(run_id, at=NOW + seconds * SECOND))
    assert dao.runs.claim("me", NOW + 90 * SECOND, NOW + 99 * SECOND).run_id == run_id
    dao.runs.set_conversion(run_id, "me", ConversionSummary("test-1"))
    version = replace(model_version(run_id), created_at=NOW + seconds * SECOND, **changes)
    assert dao.runs.finish(run_id, "me", RunState.SUCCEEDED, "well", version, NOW)
    return version.model_version_id


def promote(server: InProcessServer, model_version_id: str, request_id: str, **values: Any) -> pb.PromoteModelResponse:
    """Promotes a version."""
    asked = pb.PromoteModelRequest(model_version_id=model_version_id, request_id=request_id, **values)
    return server.model.PromoteModel(asked)


def embed(server: InProcessServer, *texts: str, **values: Any) -> pb.EmbedResponse:
    """Embeds queries."""
    return server.model.Embed(pb.EmbedRequest(texts=texts, kind=pb.TEXT_KIND_QUERY, **values), timeout=PATIENCE)
