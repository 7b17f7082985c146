"""The improvement queue through a real channel (R15)."""

from dataclasses import replace
from datetime import UTC

from embedding_studio.clickstream.v1 import clickstream_service_pb2 as clickstream_pb
from embedding_studio.clickstream.v1 import improvement_service_pb2 as pb
from grpc import StatusCode
from support.builders import SECOND, create_request, event, push_request, training_run
from support.servers import Clock, InProcessServer, fields, reason, refused

from clickstream.domain.improvement import ImprovementState, TaskOutcome
from clickstream.domain.query_split import MIN_HELD_OUT_QUERIES, Split
from clickstream.domain.runs import RunState


def add(server: InProcessServer, session_id: str, *, events: int = 1, **session_fields: object) -> None:
    """Registers a session with events."""
    server.clickstream.CreateSession(create_request(session_id, **session_fields))
    for number in range(events):
        server.clickstream.PushEvents(push_request(session_id, event(f"e-{number}")))


def use(server: InProcessServer, session_id: str) -> pb.UseSessionForImprovementResponse:
    """Puts a session into the queue."""
    return server.improvement.UseSessionForImprovement(pb.UseSessionForImprovementRequest(session_id=session_id))


def test_r15_a_session_is_queued_once(any_server: InProcessServer, clock: Clock) -> None:
    """R15: a second call returns the task as it is; the task can be read, and canceled any number of times."""
    add(any_server, "s-1")
    first = use(any_server, "s-1")
    assert first.created
    assert (first.task.session_id, first.task.state) == ("s-1", pb.IMPROVEMENT_STATE_PENDING)
    clock.forward(60)
    again = use(any_server, "s-1")
    assert (again.created, again.task) == (False, first.task)
    assert any_server.improvement.GetImprovementTask(pb.GetImprovementTaskRequest(session_id="s-1")).task == first.task
    canceled = [
        any_server.improvement.CancelImprovementTask(pb.CancelImprovementTaskRequest(session_id="s-1")).task
        for _ in range(2)
    ]
    assert canceled[0] == canceled[1] == use(any_server, "s-1").task
    assert canceled[0].state == pb.IMPROVEMENT_STATE_CANCELED


def test_r15_a_session_is_queued_with_its_query(any_server: InProcessServer, clock: Clock) -> None:
    """R15, R17: a task has its query in the form that the split counts, so that a worker can count before a run."""
    add(any_server, "s-1", query="  Red\tSHOES ")
    use(any_server, "s-1")
    assert any_server.dao.improvement.due(clock(), 9) == {"s-1": "red shoes"}


def test_r15_what_cannot_improve_is_refused_with_its_reason(any_server: InProcessServer) -> None:
    """R15: an unknown session is NOT_FOUND; an irrelevant, payload-search or eventless one FAILED_PRECONDITION."""
    add(any_server, "irrelevant")
    mark = clickstream_pb.MarkSessionIrrelevantRequest(session_id="irrelevant")
    any_server.clickstream.MarkSessionIrrelevant(mark)
    add(any_server, "payload", payload_search=True)
    add(any_server, "eventless", events=0)
    for session_id, code, why in [
        ("unknown", StatusCode.NOT_FOUND, "SESSION_NOT_FOUND"),
        ("irrelevant", StatusCode.FAILED_PRECONDITION, "SESSION_IRRELEVANT"),
        ("payload", StatusCode.FAILED_PRECONDITION, "SESSION_PAYLOAD_SEARCH"),
        ("eventless", StatusCode.FAILED_PRECONDITION, "SESSION_EVENTLESS"),
    ]:
        error = refused(use, any_server, session_id)
        assert (error.code(), reason(error)) == (code, why)
        read = refused(any_server.improvement.GetImprovementTask, pb.GetImprovementTaskRequest(session_id=session_id))
        assert (read.code(), reason(read)) == (StatusCode.NOT_FOUND, "IMPROVEMENT_TASK_NOT_FOUND")
    any_server.clickstream.PushEvents(push_request("eventless", event()))
    assert use(any_server, "eventless").created


def test_r15_a_queued_session_stays_queued_when_it_becomes_irrelevant(server: InProcessServer) -> None:
    """R1, R15: a retry of a call that succeeded succeeds, also after the session was marked."""
    add(server, "s-1")
    task = use(server, "s-1").task
    server.clickstream.MarkSessionIrrelevant(clickstream_pb.MarkSessionIrrelevantRequest(session_id="s-1"))
    assert use(server, "s-1").task == task


def test_r15_cancelling_what_is_not_queued_is_not_found(server: InProcessServer) -> None:
    """R15: canceling the task of a session that was never queued is NOT_FOUND."""
    error = refused(server.improvement.CancelImprovementTask, pb.CancelImprovementTaskRequest(session_id="s-1"))
    assert (error.code(), reason(error)) == (StatusCode.NOT_FOUND, "IMPROVEMENT_TASK_NOT_FOUND")


def retry(server: InProcessServer, session_id: str) -> pb.RetryImprovementTaskResponse:
    """Retries a session's task."""
    return server.improvement.RetryImprovementTask(pb.RetryImprovementTaskRequest(session_id=session_id))


def test_r15_a_canceled_task_can_be_retried(any_server: InProcessServer, clock: Clock) -> None:
    """R1, R15: a canceled task can be retried, any number of times; an open task stays as it is."""
    add(any_server, "s-1")
    use(any_server, "s-1")
    assert not retry(any_server, "s-1").retried
    any_server.improvement.CancelImprovementTask(pb.CancelImprovementTaskRequest(session_id="s-1"))
    clock.forward(60)
    first, again = retry(any_server, "s-1"), retry(any_server, "s-1")
    assert (first.retried, again.retried) == (True, False)
    assert first.task == again.task == use(any_server, "s-1").task
    assert (first.task.state, first.task.reason) == (pb.IMPROVEMENT_STATE_PENDING, "")
    assert first.task.not_before.ToDatetime(UTC) == clock()


def test_r15_what_cannot_improve_is_not_retried(server: InProcessServer) -> None:
    """R15: a retry is refused for the reasons of the first call, and allowed once the mark is taken back."""
    add(server, "s-1")
    error = refused(retry, server, "s-1")
    assert (error.code(), reason(error)) == (StatusCode.NOT_FOUND, "IMPROVEMENT_TASK_NOT_FOUND")
    use(server, "s-1")
    server.improvement.CancelImprovementTask(pb.CancelImprovementTaskRequest(session_id="s-1"))
    server.clickstream.MarkSessionIrrelevant(clickstream_pb.MarkSessionIrrelevantRequest(session_id="s-1"))
    error = refused(retry, server, "s-1")
    assert (error.code(), reason(error)) == (StatusCode.FAILED_PRECONDITION, "SESSION_IRRELEVANT")
    server.clickstream.RestoreSession(clickstream_pb.RestoreSessionRequest(session_id="s-1"))
    assert retry(server, "s-1").retried


def test_r15_tasks_are_listed_in_pages_in_their_order(any_server: InProcessServer, clock: Clock) -> None:
    """R15: tasks are listed in queueing order and by state; a page token of another filter is refused."""
    for session_id in ("d", "c", "b", "a", "e"):
        add(any_server, session_id)
        use(any_server, session_id)
        if session_id != "b":  # b and a are queued at one moment
            clock.forward(1)
    any_server.improvement.CancelImprovementTask(pb.CancelImprovementTaskRequest(session_id="c"))
    found, token, tokens = [], "", []
    while not found or token:
        answer = any_server.improvement.ListImprovementTasks(
            pb.ListImprovementTasksRequest(page_size=2, page_token=token)
        )
        found += [task.session_id for task in answer.tasks]
        token = answer.next_page_token
        tokens.append(token)
    assert found == ["d", "c", "a", "b", "e"]
    canceled = pb.ListImprovementTasksRequest(states=[pb.IMPROVEMENT_STATE_CANCELED])
    assert [task.session_id for task in any_server.improvement.ListImprovementTasks(canceled).tasks] == ["c"]
    canceled.page_token = tokens[0]
    assert reason(refused(any_server.improvement.ListImprovementTasks, canceled)) == "INVALID_PAGE_TOKEN"


def test_r15_a_task_shows_its_place_run_and_model(any_server: InProcessServer, clock: Clock) -> None:
    """R15: a task shows its place, run, attempts and model, and is listed by its run."""
    for session_id in ("a", "b", "c"):
        add(any_server, session_id)
        use(any_server, session_id)
    improvement, now = any_server.dao.improvement, clock()
    improvement.take(["a", "b"], "run-1", now, now + 30 * SECOND)
    task = any_server.improvement.GetImprovementTask(pb.GetImprovementTaskRequest(session_id="b")).task
    assert (task.state, task.run_id, task.lease_owner) == (pb.IMPROVEMENT_STATE_PROCESSING, "run-1", "")
    assert (task.batch_id, task.session_number) == ("batch-1", 2)
    assert not task.HasField("lease_ends_at")
    assert task.not_before == task.queued_at
    error = refused(any_server.improvement.CancelImprovementTask, pb.CancelImprovementTaskRequest(session_id="b"))
    assert (error.code(), reason(error)) == (StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")
    improvement.settle("run-1", ["a"], TaskOutcome(ImprovementState.DONE, "nDCG@10 rose", "model-1"), now)
    request = pb.ListImprovementTasksRequest(run_id="run-1", page_size=1)
    first = any_server.improvement.ListImprovementTasks(request)
    [done] = first.tasks
    assert (done.session_id, done.state, done.attempts) == ("a", pb.IMPROVEMENT_STATE_DONE, 1)
    assert (done.reason, done.model_version_id) == ("nDCG@10 rose", "model-1")
    assert not done.HasField("lease_ends_at")
    request.page_token = first.next_page_token
    assert [task.session_id for task in any_server.improvement.ListImprovementTasks(request).tasks] == ["b"]
    request.run_id = "run-2"
    assert reason(refused(any_server.improvement.ListImprovementTasks, request)) == "INVALID_PAGE_TOKEN"


def test_r15_a_task_has_the_lease_of_its_run(any_server: InProcessServer, clock: Clock) -> None:
    """R15: a task shows the lease of its run as renewed and taken over, and none once no worker has the run."""
    for session_id in ("a", "b"):
        add(any_server, session_id)
        use(any_server, session_id)
    runs, now = any_server.dao.runs, clock()
    any_server.dao.improvement.take(["a"], "run-1", now, now + 30 * SECOND)
    runs.create(training_run())

    def leases() -> list[tuple[str, float]]:
        listed = any_server.improvement.ListImprovementTasks(pb.ListImprovementTasksRequest()).tasks
        requests = [pb.GetImprovementTaskRequest(session_id=task.session_id) for task in listed]
        assert list(listed) == [any_server.improvement.GetImprovementTask(request).task for request in requests]
        assert use(any_server, "a").task == listed[0]
        ends = [task.lease_ends_at.ToDatetime(tzinfo=UTC) - now if task.lease_owner else None for task in listed]
        return [(task.lease_owner, end and end.total_seconds()) for task, end in zip(listed, ends, strict=True)]

    assert leases() == [("", None), ("", None)]
    runs.claim("dead", now, now + 10 * SECOND)
    runs.renew("run-1", "dead", now + 40 * SECOND, None)
    assert leases() == [("dead", 40), ("", None)]
    runs.claim("me", now + 40 * SECOND, now + 70 * SECOND)
    assert leases() == [("me", 70), ("", None)]
    runs.finish("run-1", "me", RunState.FAILED, "", None, now)
    assert leases() == [("", None), ("", None)]


def test_r15_the_summary_counts_the_queue_and_says_why_it_waits(any_server: InProcessServer, clock: Clock) -> None:
    """R15, R17: the summary counts all states whatever the filter, and names a shortage of queries and an open run."""
    request = pb.ListImprovementTasksRequest(states=[pb.IMPROVEMENT_STATE_FAILED], include_summary=True)
    assert any_server.improvement.ListImprovementTasks(request).summary == pb.ImprovementSummary()
    asked = [f"search {number}" for number in range(MIN_HELD_OUT_QUERIES)]
    training = Split.of(asked[:-1], 42, 0.2, 0).training
    for query in asked[:-1]:
        add(any_server, query, query=query)
        use(any_server, query)
    waiting = any_server.improvement.ListImprovementTasks(request)
    assert list(waiting.tasks) == []
    assert waiting.summary == pb.ImprovementSummary(
        counts=[pb.ImprovementStateCount(state=pb.IMPROVEMENT_STATE_PENDING, count=9)],
        held_out_queries=9,
        training_queries=training,
        shortage=f"distinct queries: 9 held out and {training} to train on; at least 10 and 4 are needed",
    )
    add(any_server, "last", query=asked[-1])
    use(any_server, "last")
    assert any_server.improvement.ListImprovementTasks(request).summary.shortage == ""
    now = clock()
    any_server.dao.improvement.take(asked[:-1], "improve-1", now, now + 30 * SECOND)
    any_server.dao.runs.create(replace(training_run("improve-1"), from_improvement_queue=True))
    any_server.dao.improvement.settle("improve-1", asked[:2], TaskOutcome(ImprovementState.FAILED, ""), now)
    summary = any_server.improvement.ListImprovementTasks(request).summary
    assert {each.state: each.count for each in summary.counts} == {
        pb.IMPROVEMENT_STATE_PENDING: 1,
        pb.IMPROVEMENT_STATE_PROCESSING: 7,
        pb.IMPROVEMENT_STATE_FAILED: 2,
    }
    assert (summary.open_run_id, summary.held_out_queries, summary.training_queries) == ("improve-1", 1, 0)
    assert not any_server.improvement.ListImprovementTasks(pb.ListImprovementTasksRequest()).HasField("summary")


def test_r7_a_bad_listing_names_its_field(server: InProcessServer) -> None:
    """R7: a negative page size, an unknown state and an impossible run id are refused by name."""
    request = pb.ListImprovementTasksRequest(run_id="a/b")
    assert fields(refused(server.improvement.ListImprovementTasks, request)) == ["run_id"]
    request = pb.ListImprovementTasksRequest(page_size=-1)
    assert fields(refused(server.improvement.ListImprovementTasks, request)) == ["page_size"]
    request = pb.ListImprovementTasksRequest(states=[0])
    assert fields(refused(server.improvement.ListImprovementTasks, request)) == ["states[0]"]
