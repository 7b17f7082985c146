"""From a finished run to vectors and files, with the models in the serving process or in a trainer."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from embedding_studio.clickstream.v1 import model_service_pb2 as pb
from embedding_studio.clickstream.v1.model_service_pb2_grpc import ModelServiceStub
from support.servers import ServeProcess, wait_for
from support.whole_path import play_searches, release, start_training, watch_to_the_end


@pytest.mark.parametrize("own_trainer", [False, True])
def test_r17_a_better_model_is_promoted_and_serves(
    serve: Callable[..., ServeProcess], train: Callable[..., ServeProcess], tiny_encoder: Path, own_trainer: bool
) -> None:
    """R17: with automatic promotion, a version that passed its gate serves its vectors, files and lineage."""
    import numpy
    from sentence_transformers import SentenceTransformer

    promoting = {"CLICKSTREAM_AUTO_PROMOTE": "true"}
    server = serve(CLICKSTREAM_TRAINER=train().address, **promoting) if own_trainer else serve(**promoting)
    with grpc.insecure_channel(server.address) as channel:
        model = ModelServiceStub(channel)
        sessions = play_searches(channel)
        start_training(channel, release(channel), tiny_encoder, epochs=6)
        version = watch_to_the_end(channel)[-1].model_version
        wait_for(lambda: model.ListPromotions(pb.ListPromotionsRequest()).promotions)
        asked = pb.EmbedRequest(texts=["red lamp", "rain lamp"], kind=pb.TEXT_KIND_QUERY)
        answer = model.Embed(asked, timeout=120)
        first, *chunks = model.DownloadModel(pb.DownloadModelRequest())
        inputs = list(model.StreamModelLineage(pb.StreamModelLineageRequest(model_version_id=version.model_version_id)))

    assert answer.model_version_id == first.files.model_version_id == version.model_version_id
    expected = SentenceTransformer(version.path, device="cpu").encode(list(asked.texts))
    numpy.testing.assert_allclose([each.values for each in answer.embeddings], expected, atol=1e-5)
    whole = b"".join(each.chunk.data for each in chunks)
    assert first.files.sha256 == hashlib.sha256(whole).hexdigest()
    assert {file.name for file in first.files.files} >= {"model.safetensors", "modules.json", "model_version.json"}
    assert len(inputs) == sessions + 1
    assert all(each.input.event_ids for each in inputs[1:])
    has_torch = "libtorch" in Path(f"/proc/{server.pid}/maps").read_text()
    assert has_torch is not own_trainer
