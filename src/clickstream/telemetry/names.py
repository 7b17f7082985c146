"""Every figure of our own: its name, its kind, its labels and its meaning. A name that is not here is not kept."""

from enum import StrEnum
from typing import NamedTuple

PREFIX = "clickstream_"

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DOCUMENTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)


class Kind(StrEnum):
    """What a figure is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Figure(NamedTuple):
    """A figure. `labels` are all that it has; `buckets` are a histogram's upper ends."""

    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

FIGURES: dict[str, Figure] = {
    "write_group_documents": Figure(_H, "Sessions and events in one group of writes.", (), DOCUMENTS),
    "write_group_wait_seconds": Figure(_H, "Wait of a group's oldest write before the group was sent.", (), SECONDS),
    "write_queue_bytes": Figure(_G, "Bytes of writes that wait for the store."),
    "write_queue_limit_bytes": Figure(_G, "Bytes of writes beyond which calls are refused."),
    "store_command_seconds": Figure(
        _H, "Time of a command in MongoDB, by its name. A watch waits for changes.", ("command", "outcome"), SECONDS
    ),
    "store_up": Figure(_G, "1 if the store takes writes, otherwise 0."),
    "store_figures_up": Figure(_G, "1 if the figures of the store could be read in time, otherwise 0.", ("part",)),
    "embedded_mongodb_up": Figure(_G, "1 if the embedded MongoDB runs, otherwise 0."),
    "events": Figure(_C, "Events that were sent, by what became of them.", ("outcome",)),
    "refused_calls": Figure(_C, "Calls that were refused or failed, by reason.", ("reason",)),
    "refused_items": Figure(_C, "Sessions and events that were refused, by reason.", ("reason",)),
    "calls_in_hand": Figure(_G, "Calls that have not ended, streams among them."),
    "open_streams": Figure(_G, "Streams that have not ended."),
    "credentials_broken": Figure(
        _G, "1 while a changed certificate or token file cannot be used, otherwise 0.", ("part",)
    ),
    "certificate_not_after_timestamp_seconds": Figure(_G, "End of the server's certificate.", ("door",)),
    "collecting_batch_sessions": Figure(_G, "Sessions in the collecting batch."),
    "collecting_batch_age_seconds": Figure(_G, "Time since the first session of the collecting batch; 0: it is empty."),
    "improvement_tasks": Figure(_G, "Sessions in the improvement queue, by state.", ("state",)),
    "improvement_oldest_age_seconds": Figure(_G, "Time since the oldest pending session was queued; 0: there is none."),
    "runs": Figure(_G, "Training runs, by state.", ("state",)),
    "run_step": Figure(_G, "Optimizer step of the running run; 0: none runs."),
    "run_steps": Figure(_G, "Optimizer steps that the running run will take; 0: none runs, or not known yet."),
    "run_loss": Figure(_G, "Loss that the running run reported last; 0: none runs."),
    "run_queries_per_second": Figure(_G, "Queries a second that the running run reported last; 0: none runs."),
    "serving_since_timestamp_seconds": Figure(_G, "When the version that serves was promoted; absent: none was."),
    "roll_up_lag_seconds": Figure(_G, "How far the roll-ups are behind the writes; absent before the first making."),
    "change_stream_up": Figure(_G, "1 while the worker's stream of changes is open, otherwise 0."),
    "change_stream_lag_seconds": Figure(_G, "Age of the last change when the worker heard of it; full seconds."),
    "trainer_up": Figure(_G, "1 while the worker has a connection to its trainer, otherwise 0."),
    "training_step": Figure(_G, "Optimizer step of the run that this trainer trains, or trained last."),
    "training_loss": Figure(_G, "Loss at that step."),
    "training_queries_per_second": Figure(_G, "Queries a second at that step."),
    "process_up": Figure(_G, "1 if a process of a supervised server answers, otherwise 0.", ("process",)),
}
