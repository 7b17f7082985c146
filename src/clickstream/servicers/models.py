"""ModelService: model versions, which of them serves, their files and vectors, and where they came from."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from embedding_studio.clickstream.internal.v1 import model_host_service_pb2 as host_pb
from embedding_studio.clickstream.v1 import model_service_pb2 as pb
from embedding_studio.clickstream.v1 import model_version_pb2
from embedding_studio.clickstream.v1.model_service_pb2_grpc import ModelServiceServicer
from typing_extensions import override

from clickstream.contract.encoding import timestamp
from clickstream.contract.models import model_version_message
from clickstream.conversion.reader import InputReader
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain import limits
from clickstream.domain.errors import FailedPrecondition, FieldViolation, NotFound, Reason
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.promotions import Promotion, PromotionOrder
from clickstream.models.promoting import Promoting
from clickstream.servicers.boundary import Context
from clickstream.servicers.checks import fields, page_tokens
from clickstream.servicers.checks.texts import check_texts
from clickstream.servicers.lineage import ModelLineage, session_lineage
from clickstream.servicers.slow_reads import slow_read
from clickstream.trainer_client.model_host import ModelHostClient


class ModelServicer(ModelServiceServicer):
    """Versions and promotions come from the store, files and vectors from the machine that has the models."""

    def __init__(
        self, dao: ClickstreamDao, inputs: InputReader, host: ModelHostClient, clock: Callable[[], datetime]
    ) -> None:
        self._dao = dao
        self._inputs = inputs
        self._host = host
        self._promoting = Promoting(dao.promotions, host.load, clock)

    @override
    async def GetModelVersion(self, request: pb.GetModelVersionRequest, context: Context) -> pb.GetModelVersionResponse:
        fields.check_optional_id(request.model_version_id, "model_version_id")
        current = await asyncio.to_thread(self._dao.promotions.current)
        version = await asyncio.to_thread(self._version, request.model_version_id or _serving(current))
        return pb.GetModelVersionResponse(model_version=_version_message(version, current))

    @override
    async def ListModelVersions(
        self, request: pb.ListModelVersionsRequest, context: Context
    ) -> pb.ListModelVersionsResponse:
        page_size = fields.checked_page_size(request.page_size)
        method = f"ListModelVersions{'/gate_passed' if request.gate_passed_only else ''}"
        before = page_tokens.decode_position(request.page_token, method, ())
        versions = await asyncio.to_thread(
            self._dao.runs.model_versions, before, page_size, gate_passed_only=request.gate_passed_only
        )
        current = await asyncio.to_thread(self._dao.promotions.current)
        page, last = page_tokens.cut_page(versions, lambda version: _version_message(version, current), page_size)
        token = page_tokens.encode_position(method, last.created_at, last.run_id, ()) if last else ""
        return pb.ListModelVersionsResponse(
            model_versions=page,
            next_page_token=token,
            serving_model_version_id=current.model_version_id if current else "",
        )

    @override
    async def PromoteModel(self, request: pb.PromoteModelRequest, context: Context) -> pb.PromoteModelResponse:
        order = _order(request, fields.checked_id(request.model_version_id, "model_version_id"), request.force)
        if order.forced and not order.reason.strip():
            fields.require([FieldViolation("reason", "is required together with force")])
        version = await asyncio.to_thread(self._version, order.model_version_id)
        promotion, created = await self._promoting.promote(version, order, context.time_remaining())
        return pb.PromoteModelResponse(promotion=_promotion_message(promotion), created=created)

    @override
    async def RollbackModel(self, request: pb.RollbackModelRequest, context: Context) -> pb.RollbackModelResponse:
        order = _order(request, "", forced=False)
        promotion, created = await self._promoting.roll_back(order, context.time_remaining())
        return pb.RollbackModelResponse(promotion=_promotion_message(promotion), created=created)

    @override
    async def ListPromotions(self, request: pb.ListPromotionsRequest, context: Context) -> pb.ListPromotionsResponse:
        page_size = fields.checked_page_size(request.page_size)
        before = None
        if request.page_token:
            (before,) = page_tokens.decode_token(request.page_token, "ListPromotions", (int,))
        found = await asyncio.to_thread(self._dao.promotions.list, before, page_size)
        page, last = page_tokens.cut_page(found, _promotion_message, page_size)
        token = page_tokens.encode_token("ListPromotions", last.sequence) if last and last.sequence > 1 else ""
        return pb.ListPromotionsResponse(promotions=page, next_page_token=token)

    @override
    async def DownloadModel(
        self, request: pb.DownloadModelRequest, context: Context
    ) -> AsyncIterator[pb.DownloadModelResponse]:
        model_version_id = await self._named_or_serving(request.model_version_id)
        asked = host_pb.ReadModelRequest(
            model_version_id=model_version_id, file_name=request.file_name, offset=request.offset
        )
        async for part in self._host.read(asked, context.time_remaining()):
            if part.WhichOneof("message") == "files":
                yield pb.DownloadModelResponse(files=part.files)
            else:
                yield pb.DownloadModelResponse(chunk=part.chunk)

    @override
    async def Embed(self, request: pb.EmbedRequest, context: Context) -> pb.EmbedResponse:
        check_texts(request.texts, request.kind)
        model_version_id = await self._named_or_serving(request.model_version_id)
        asked = host_pb.EmbedTextsRequest(model_version_id=model_version_id, texts=request.texts, kind=request.kind)
        answer = await self._host.embed(asked, context.time_remaining())
        return pb.EmbedResponse(embeddings=answer.embeddings, model_version_id=model_version_id)

    @override
    async def StreamModelLineage(
        self, request: pb.StreamModelLineageRequest, context: Context
    ) -> AsyncIterator[pb.StreamModelLineageResponse]:
        model_version_id = fields.checked_id(request.model_version_id, "model_version_id")
        version = await asyncio.to_thread(self._version, model_version_id)
        lineage = await asyncio.to_thread(ModelLineage, self._dao, self._inputs, version)
        batches = await asyncio.to_thread(lineage.batches, request.batch_id, request.after_number)
        current = await asyncio.to_thread(self._dao.promotions.current)
        origin = lineage.origin()
        origin.model_version.CopyFrom(_version_message(version, current))
        yield pb.StreamModelLineageResponse(origin=origin)
        pages = lineage.pages(batches, request.after_number if request.batch_id else 0)
        while (page := await slow_read(next, pages, None)) is not None:
            for origin_of_input in page:
                yield pb.StreamModelLineageResponse(input=origin_of_input)

    @override
    async def GetSessionLineage(
        self, request: pb.GetSessionLineageRequest, context: Context
    ) -> pb.GetSessionLineageResponse:
        session_id = fields.checked_id(request.session_id, "session_id")
        page_size = fields.checked_page_size(request.page_size)
        before = page_tokens.decode_position(request.page_token, "GetSessionLineage", ())
        return await asyncio.to_thread(session_lineage, self._dao, self._inputs, session_id, before, page_size)

    async def _named_or_serving(self, model_version_id: str) -> str:
        fields.check_optional_id(model_version_id, "model_version_id")
        return model_version_id or _serving(await asyncio.to_thread(self._dao.promotions.current))

    def _version(self, model_version_id: str) -> ModelVersion:
        version = self._dao.runs.model_version(model_version_id)
        if version is None:
            raise NotFound(Reason.MODEL_VERSION_NOT_FOUND, "model_version_id: there is no such model version")
        return version


def _serving(current: Promotion | None) -> str:
    """The id of the version that serves. Raises FailedPrecondition if none does."""
    if current is None:
        raise FailedPrecondition(Reason.NO_SERVING_MODEL, "no model version serves")
    return current.model_version_id


def _version_message(version: ModelVersion, current: Promotion | None) -> model_version_pb2.ModelVersion:
    """A version for the contract, with whether it serves; `current` is the last promotion."""
    message = model_version_message(version)
    message.serving = current is not None and current.model_version_id == version.model_version_id
    return message


def _order(
    request: pb.PromoteModelRequest | pb.RollbackModelRequest, model_version_id: str, forced: bool
) -> PromotionOrder:
    """A checked order. `model_version_id` is the version to promote; empty for a rollback."""
    request_id = fields.checked_id(request.request_id, "request_id")
    if len(request.reason) > limits.TEXT_CHARACTERS:
        description = f"must have at most {limits.TEXT_CHARACTERS} characters"
        fields.require([FieldViolation("reason", description, fields.LIMIT)])
    named = request.HasField("expected_model_version_id")
    expected = frozenset({request.expected_model_version_id}) if named else None
    return PromotionOrder(request_id, model_version_id, expected, forced, request.reason)


def _promotion_message(promotion: Promotion) -> pb.Promotion:
    return pb.Promotion(
        sequence=promotion.sequence,
        model_version_id=promotion.model_version_id,
        request_id=promotion.request_id,
        rollback=promotion.rollback,
        forced=promotion.forced,
        reason=promotion.reason,
        promoted_at=timestamp(promotion.promoted_at),
        previous_sequence=promotion.previous,
    )
