import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2 as batches
from embedding_studio.clickstream.v1 import batch_service_pb2_grpc as batches_grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from embedding_studio.clickstream.v1 import clickstream_service_pb2_grpc as service_grpc
from embedding_studio.clickstream.v1 import model_service_pb2 as models
from embedding_studio.clickstream.v1 import model_service_pb2_grpc as model_grpc
from embedding_studio.clickstream.v1 import training_progress_pb2 as progress_pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training
from embedding_studio.clickstream.v1 import training_service_pb2_grpc as training_grpc
from rich.console import Console

from clickstream.client.calls import clickstream_stub
from clickstream.demo.catalogue import make_catalogue
from clickstream.demo.play import play
from clickstream.demo.report import examples
from clickstream.demo.shoppers import Rank, Shop, Visit, make_wants
from clickstream.demo.story import DemoFailedError, Plan, run_demo

ITEMS = make_catalogue()
PLAN = Plan(queries=20, visits_per_query=5, never_played=40)


class InMemoryServer(
    service_grpc.ClickstreamServiceServicer,
    batches_grpc.BatchServiceServicer,
    training_grpc.TrainingServiceServicer,
    model_grpc.ModelServiceServicer,
):
    """Keeps sessions and events; a training run goes through its phases at once, and ends as `end` says."""

    def __init__(self, model: Path) -> None:
        self.sessions: dict[str, service.CreateSessionRequest] = {}
        self.events: dict[str, service.PushEventsRequest] = {}
        self.irrelevant: set[str] = set()
        self.started: training.StartTrainingRequest | None = None
        self.model = model
        self.end = runs_pb.TRAINING_RUN_STATE_SUCCEEDED
        self.gate_passed = True
        self.promoted: list[str] = []

    def CreateSession(self, request, context):
        kept = self.sessions.setdefault(request.session.session_id, request)
        return service.CreateSessionResponse(created=kept is request)

    def PushEvents(self, request, context):
        new = self.events.setdefault(request.session_id, request) is request
        return service.PushEventsResponse(accepted_count=len(request.events) if new else 0)

    def MarkSessionIrrelevant(self, request, context):
        self.irrelevant.add(request.session_id)
        return service.MarkSessionIrrelevantResponse()

    def ReleaseBatch(self, request, context):
        return batches.ReleaseBatchResponse(batch=batches.Batch(batch_id="b1", session_count=len(self.sessions)))

    def StartTraining(self, request, context):
        self.started = request
        return training.StartTrainingResponse(run=runs_pb.TrainingRun(run_id=request.run_id))

    def GetTrainingRun(self, request, context):
        return training.GetTrainingRunResponse(run=runs_pb.TrainingRun(run_id=request.run_id))

    def WatchTrainingRun(self, request, context):
        run = runs_pb.TrainingRun(run_id=request.run_id, state=runs_pb.TRAINING_RUN_STATE_RUNNING)
        run.progress.phase = progress_pb.TrainingProgress.PHASE_TRAINING
        run.progress.step, run.progress.step_count, run.progress.loss = 3, 9, 1.25
        yield training.WatchTrainingRunResponse(run=run)
        run.state, run.reason = self.end, "because"
        run.conversion.skipped_sessions["no_events"] = 7
        run.model_version.model_version_id, run.model_version.gate_passed = "better", self.gate_passed
        run.model_version.path = str(self.model)
        run.model_version.evaluation.base.ndcg_at_10 = 0.123
        run.model_version.evaluation.new.ndcg_at_10 = 0.456
        yield training.WatchTrainingRunResponse(run=run)

    def PromoteModel(self, request, context):
        self.promoted.append(request.model_version_id)
        return models.PromoteModelResponse(created=True)


@pytest.fixture
def server(tmp_path) -> Iterator[tuple[InMemoryServer, grpc.Channel]]:
    """The four services of a server whose finished model lies in a folder that exists."""
    kept = InMemoryServer(tmp_path)
    grpc_server = grpc.server(ThreadPoolExecutor(16))
    service_grpc.add_ClickstreamServiceServicer_to_server(kept, grpc_server)
    batches_grpc.add_BatchServiceServicer_to_server(kept, grpc_server)
    training_grpc.add_TrainingServiceServicer_to_server(kept, grpc_server)
    model_grpc.add_ModelServiceServicer_to_server(kept, grpc_server)
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    grpc_server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield kept, channel
    grpc_server.stop(None)


def load(folder: str) -> Rank:
    """A ranking without any model: the catalogue's order, backwards for the base model."""

    def rank(queries: Sequence[str], texts: Sequence[str]) -> list[list[int]]:
        order = list(range(len(texts)))
        return [order[::-1] if folder == "base" else order for _ in queries]

    return rank


def visits() -> list[Visit]:
    """A hundred visits, robots and category pages among them."""
    return list(Shop(ITEMS, make_wants(ITEMS, 20), load("base")).visits(20))


def test_every_visit_arrives_as_it_happened(server):
    """Shown items in order with their meta, acts with their types, category pages and robots marked as such."""
    kept, channel = server
    played = visits()
    stored = sum(play(played, clickstream_stub(channel), "try"), Counter())
    assert stored["sessions"] == len(kept.sessions) == len(played)
    assert stored["events"] == sum(len(visit.acts) for visit in played)
    assert kept.irrelevant == {f"try-{visit.number:06}" for visit in played if visit.robot} != set()
    for visit in played:
        session = kept.sessions[f"try-{visit.number:06}"].session
        assert [result.object_id for result in session.results] == [item.object_id for item in visit.shown]
        assert (session.query, session.payload_search) == (visit.query, visit.category_page)
        assert session.results[0].meta["title"] == visit.shown[0].title
        events = kept.events[session.session_id].events if visit.acts else []
        assert [(event.type, event.object_id) for event in events] == list(visit.acts)


def test_playing_again_under_the_same_name_stores_nothing(server):
    """R1: ids come from the name and the visit, so a repeated play is nothing but retries."""
    _, channel = server
    played = visits()
    first = sum(play(played, clickstream_stub(channel), "try"), Counter())
    again = sum(play(played, clickstream_stub(channel), "try"), Counter())
    assert first["sessions"] == len(played)
    assert again.total() == 0


def test_the_story_goes_from_click_to_comparison(server):
    """The demo plays, releases, trains with its plan, and prints both measurements and the model's folder."""
    kept, channel = server
    console = Console(record=True, width=160)
    outcome = run_demo(channel, console, "base", "try", load, PLAN)
    assert kept.started is not None
    assert (kept.started.run_id, list(kept.started.batch_ids)) == ("try", ["b1"])
    assert kept.started.settings.base_model == "base"
    assert kept.started.settings.epochs == PLAN.epochs
    assert outcome.comparison is not None
    assert outcome.comparison.ndcg_before != outcome.comparison.ndcg_after
    text = console.export_text()
    for expected in ("100 sessions", "0.123", "0.456", "7 no_events", f"{outcome.comparison.ndcg_after:.3f}"):
        assert expected in text
    assert str(kept.model) in re.sub(r"\n", "", text)


def test_r17_the_story_promotes_what_passed_its_gate_only(server):
    """R17: workers promote nothing by default, so the demo promotes, but only a version that passed its gate."""
    kept, channel = server
    kept.gate_passed = False
    run_demo(channel, Console(quiet=True), "base", "try", load, PLAN)
    assert kept.promoted == []
    kept.gate_passed = True
    run_demo(channel, Console(quiet=True), "base", "try", load, PLAN)
    assert kept.promoted == ["better"]


def test_a_failed_run_ends_the_story_with_its_reason(server):
    """R16: a run always ends in a state with a reason, and the demo says both."""
    kept, channel = server
    kept.end = runs_pb.TRAINING_RUN_STATE_FAILED
    with pytest.raises(DemoFailedError, match="the training run try is failed: because"):
        run_demo(channel, Console(quiet=True), "base", "try", load, PLAN)


def test_a_model_on_another_machine_is_not_compared(server):
    """If this machine does not have the model's folder, the story ends with the run's own numbers."""
    kept, channel = server
    kept.model = Path("/no/such/folder")
    assert run_demo(channel, Console(quiet=True), "base", "try", load, PLAN).comparison is None


def test_the_shown_searches_are_not_chosen_by_their_gain():
    """The examples are the first never-played searches of two slang words or more, whatever was measured."""
    wants = make_wants(ITEMS, 260)[200:]
    places = examples(wants)
    assert len(places) == 3
    assert all(len(wants[place].query.split()) > 1 for place in places)
    assert places == sorted(places)
