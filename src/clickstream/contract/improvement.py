"""The improvement queue: domain objects to contract messages."""

from collections.abc import Mapping
from datetime import datetime

from embedding_studio.clickstream.v1 import improvement_service_pb2

from clickstream.contract.encoding import timestamp
from clickstream.domain.batches import batch_id_of
from clickstream.domain.improvement import ImprovementState, ImprovementTask
from clickstream.domain.query_split import Split


def improvement_task_message(
    task: ImprovementTask, lease: tuple[str, datetime] | None = None
) -> improvement_service_pb2.ImprovementTask:
    """A task for the contract. `lease` is its run's: the owner and the end; None if no worker has the run."""
    owner, until = lease or ("", None)
    return improvement_service_pb2.ImprovementTask(
        session_id=task.session_id,
        state=f"IMPROVEMENT_STATE_{task.state.name}",
        reason=task.reason,
        queued_at=timestamp(task.queued_at),
        updated_at=timestamp(task.updated_at),
        attempts=task.attempts,
        run_id=task.run_id,
        model_version_id=task.model_version_id,
        not_before=timestamp(task.not_before),
        batch_id=batch_id_of(task.batch),
        session_number=task.number,
        lease_owner=owner,
        lease_ends_at=timestamp(until),
    )


def improvement_summary_message(
    counts: Mapping[ImprovementState, int], open_run_id: str, split: Split, shortage: str
) -> improvement_service_pb2.ImprovementSummary:
    """A summary of the queue for the contract.

    Args:
        counts: The number of tasks by state.
        open_run_id: The run that other runs of the queue wait for; empty if there is none.
        split: How a run would split the queries that it may take now.
        shortage: What that split lacks, in words; empty if nothing.
    """
    return improvement_service_pb2.ImprovementSummary(
        counts=[
            improvement_service_pb2.ImprovementStateCount(state=f"IMPROVEMENT_STATE_{state.name}", count=counts[state])
            for state in ImprovementState
            if state in counts
        ],
        open_run_id=open_run_id,
        held_out_queries=split.held_out,
        training_queries=split.training,
        shortage=shortage,
    )
