"""From a session to a loadable model, through real processes only."""

from collections.abc import Callable
from pathlib import Path

import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from support.servers import ServeProcess
from support.whole_path import play_searches, release, start_training, watch_to_the_end


def test_r17_sessions_become_a_better_model(serve: Callable[..., ServeProcess], tiny_encoder: Path) -> None:
    """R16, R17: searches, a release and a run give a model that passed its gate and that both libraries load."""
    server = serve()
    with grpc.insecure_channel(server.address) as channel:
        sessions = play_searches(channel)
        batch_id = release(channel)
        start_training(channel, batch_id, tiny_encoder, epochs=6, folds=0)
        run = watch_to_the_end(channel)[-1]
        batch = BatchServiceStub(channel).GetBatch(batch_service_pb2.GetBatchRequest(batch_id=batch_id)).batch

    assert run.state == runs_pb.TRAINING_RUN_STATE_SUCCEEDED, run.reason
    assert run.conversion.input_count == sessions
    assert run.model_version.gate_passed, run.model_version.gate_reason
    assert run.model_version.evaluation.new.ndcg_at_10 > run.model_version.evaluation.base.ndcg_at_10
    assert list(run.model_version.batch_ids) == [batch_id]
    assert batch.status == batch_service_pb2.BATCH_STATUS_TRAINED
    assert batch.run_id == "acceptance"

    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel

    model = SentenceTransformer(run.model_version.path, device="cpu")
    query, wanted, other = model.encode(["red lamp", "rain lamp", "garden lamp"])
    assert query @ wanted > query @ other
    assert AutoModel.from_pretrained(run.model_version.path).config.hidden_size == 32


def test_r16_a_trainer_of_its_own_makes_the_same_model(
    serve: Callable[..., ServeProcess], train: Callable[..., ServeProcess], tiny_encoder: Path, tmp_path: Path
) -> None:
    """R16, R18: with a trainer address, inputs and judgements go to another process, which keeps the version."""
    trainer = train()
    server = serve(CLICKSTREAM_TRAINER=trainer.address)
    with grpc.insecure_channel(server.address) as channel:
        play_searches(channel)
        start_training(channel, release(channel), tiny_encoder, epochs=2)
        run = watch_to_the_end(channel)[-1]
    assert run.state == runs_pb.TRAINING_RUN_STATE_SUCCEEDED, run.reason
    assert run.model_version.path.startswith(str(tmp_path / "trainer"))
    assert (Path(run.model_version.path) / "modules.json").exists()
    data, judged = run.model_version.data, run.model_version.evaluation.judged
    assert judged.searched.query_count == data.training_queries
    assert judged.unsearched.query_count == 80 - data.training_queries
    assert judged.searched.new.ndcg_at_10 > judged.searched.base.ndcg_at_10
    assert judged.unknown_items == 1
