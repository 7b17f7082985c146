"""PromoteModel and RollbackModel through a real channel (R1, R17)."""

from embedding_studio.clickstream.v1 import model_service_pb2 as pb
from google.rpc import error_details_pb2
from grpc import StatusCode
from support.model_calls import embed, finish, lengths, promote
from support.servers import InProcessServer, detail, fields, reason, refused

from clickstream.domain.errors import NotFound, Reason
from clickstream.models.embedding_queue import Embedder
from clickstream.trainer_client.channel import TrainerAddress


def test_r17_a_version_that_did_not_improve_is_promoted_by_force_only(model_server: InProcessServer) -> None:
    """R17: a version whose gate did not pass is promoted only by force with a reason, and the log shows that."""
    model = finish(model_server, "run-1", gate_passed=False)
    error = refused(promote, model_server, model, "p-1")
    assert (error.code(), reason(error)) == (StatusCode.FAILED_PRECONDITION, "GATE_NOT_PASSED")
    assert fields(refused(promote, model_server, model, "p-1", force=True)) == ["reason"]
    promotion = promote(model_server, model, "p-1", force=True, reason="a person looked").promotion
    assert (promotion.forced, promotion.reason, promotion.sequence) == (True, "a person looked", 1)
    assert list(model_server.model.ListPromotions(pb.ListPromotionsRequest()).promotions) == [promotion]


def test_r1_promotion_and_rollback_can_be_retried(model_server: InProcessServer) -> None:
    """R1: a retry answers the same promotion; a request id that was used otherwise is refused."""
    for number in (1, 2):
        finish(model_server, f"run-{number}", number)
    assert refused(model_server.model.RollbackModel, pb.RollbackModelRequest(request_id="r")).code() is (
        StatusCode.FAILED_PRECONDITION
    )
    first = promote(model_server, "model-run-1", "p-1", expected_model_version_id="")
    promote(model_server, "model-run-2", "p-2")
    error = refused(promote, model_server, "model-run-1", "p-3", expected_model_version_id="model-run-1")
    assert reason(error) == "STATE_CONFLICT"
    back = model_server.model.RollbackModel(pb.RollbackModelRequest(request_id="r-1"))
    assert (back.promotion.model_version_id, back.promotion.rollback, back.created) == ("model-run-1", True, True)
    again = model_server.model.RollbackModel(pb.RollbackModelRequest(request_id="r-1"))
    assert (again.promotion, again.created) == (back.promotion, False)
    assert promote(model_server, "model-run-1", "p-1").promotion == first.promotion
    assert refused(promote, model_server, "model-run-2", "p-1").code() is StatusCode.ALREADY_EXISTS


def test_r1_a_promotion_can_require_that_no_version_serves(model_server: InProcessServer) -> None:
    """R1: an empty `expected_model_version_id` is a condition: if a version serves, nothing is changed."""
    for number in (1, 2):
        finish(model_server, f"run-{number}", number)
        promote(model_server, f"model-run-{number}", f"p-{number}")
    roll_back = pb.RollbackModelRequest(request_id="r-1", expected_model_version_id="")
    for error in (
        refused(promote, model_server, "model-run-1", "p-3", expected_model_version_id=""),
        refused(model_server.model.RollbackModel, roll_back),
    ):
        assert (error.code(), reason(error)) == (StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")
    current = model_server.model.GetModelVersion(pb.GetModelVersionRequest()).model_version
    assert current.model_version_id == "model-run-2"


def test_a_version_that_cannot_be_loaded_is_not_promoted(model_server: InProcessServer) -> None:
    """A version without files is not promoted, not even by force; a retry of a promotion needs no files."""
    for number in (1, 2):
        finish(model_server, f"run-{number}", number)
    promote(model_server, "model-run-1", "p-1")

    def gone(model_version_id: str) -> Embedder:
        raise NotFound(Reason.MODEL_VERSION_NOT_FOUND, f"no {model_version_id} here")

    model_server.load_embedder = gone
    for values in ({}, {"force": True, "reason": "never mind"}):
        error = refused(promote, model_server, "model-run-2", "p-2", **values)
        assert (error.code(), reason(error)) == (StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")
    assert embed(model_server, "abc").model_version_id == "model-run-1"
    assert not promote(model_server, "model-run-1", "p-1").created


def test_a_rollback_needs_a_version_that_can_be_loaded(model_server: InProcessServer) -> None:
    """RollbackModel does not go back to a version whose files are gone."""
    for number in (1, 2):
        promote(model_server, finish(model_server, f"run-{number}", number), f"p-{number}")

    def gone(model_version_id: str) -> Embedder:
        raise NotFound(Reason.MODEL_VERSION_NOT_FOUND, f"no {model_version_id} here")

    model_server.load_embedder = gone
    model_server.embedding._embedders.pop("model-run-1")
    error = refused(model_server.model.RollbackModel, pb.RollbackModelRequest(request_id="r-1"))
    assert (error.code(), reason(error)) == (StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")
    assert embed(model_server, "abc").model_version_id == "model-run-2"
    model_server.load_embedder = lengths
    assert model_server.model.RollbackModel(pb.RollbackModelRequest(request_id="r-1")).created


def test_an_absent_trainer_is_not_reported_as_the_store(model_server: InProcessServer) -> None:
    """Calls that need an absent trainer say so and can be repeated; nothing is changed."""
    for number in (1, 2):
        promote(model_server, finish(model_server, f"run-{number}", number), f"p-{number}")

    async def away() -> None:
        await model_server.host.close()
        model_server.host.connect(TrainerAddress("127.0.0.1:1"))

    model_server.run(away())
    calls = [
        lambda: promote(model_server, "model-run-1", "p-3"),
        lambda: model_server.model.RollbackModel(pb.RollbackModelRequest(request_id="r-1")),
        lambda: embed(model_server, "abc"),
        lambda: model_server.model.DownloadModel(pb.DownloadModelRequest()),
    ]
    for call in calls:
        error = refused(call)
        assert (error.code(), reason(error)) == (StatusCode.UNAVAILABLE, "TRAINER_UNAVAILABLE")
        assert detail(error, error_details_pb2.RetryInfo).HasField("retry_delay")
    current = model_server.model.GetModelVersion(pb.GetModelVersionRequest())
    assert current.model_version.model_version_id == "model-run-2"


def test_r1_another_reason_is_another_promotion(model_server: InProcessServer) -> None:
    """R1: the same request id with another reason is refused; a reason of blanks counts as empty."""
    model = finish(model_server, "run-1")
    promote(model_server, model, "p-1", reason="it is Monday")
    error = refused(promote, model_server, model, "p-1", reason="it is Tuesday")
    assert error.code() is StatusCode.ALREADY_EXISTS
    assert fields(refused(promote, model_server, model, "p-2", force=True, reason=" ")) == ["reason"]
