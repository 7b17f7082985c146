"""All settings, from the environment: `CLICKSTREAM_*`, and `MONGODB_URI`."""

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from clickstream.conversion.importance import PACKAGED_POLICY
from clickstream.domain import limits

HOUR = 3600.0
DAY = 24 * HOUR
LONGEST = 100 * 365 * DAY
"""Longer than any data are kept, and short enough to be counted back from now."""


class Settings(BaseSettings):
    """One frozen object that `app` hands out piece by piece. Durations are in seconds, and all have bounds."""

    model_config = SettingsConfigDict(
        env_prefix="CLICKSTREAM_", frozen=True, extra="ignore", env_ignore_empty=True, allow_inf_nan=False
    )

    listen: str = Field("127.0.0.1:50051", description="Address and port of the gRPC server; port 0 takes a free one.")
    data_dir: Path = Field(Path(".data"), description="Folder of the embedded MongoDB, of checkpoints and of models.")
    processes: int = Field(0, ge=0, description="Serving processes on the one port. 0: this process serves itself.")
    pin: bool | None = Field(
        None,
        description="Whether each serving process keeps to one CPU core. Empty: if that leaves a core free.",
    )
    mongodb_uri: str = Field(
        "",
        validation_alias=AliasChoices("MONGODB_URI", "mongodb_uri"),
        description="Your own MongoDB 6 or newer, a replica set. Empty: the embedded one.",
    )
    database: str = Field("clickstream", description="Name of the MongoDB database.")
    mongod_cache_gb: float = Field(0.5, ge=0.25, le=10_000, description="Cache of the embedded MongoDB in GiB.")
    store_timeout: float = Field(
        10,
        ge=0.001,  # the driver counts milliseconds, and takes 0 of them for no limit
        le=HOUR,
        description="How long a store operation may take, retries included.",
    )
    write_queue_mb: int = Field(64, ge=8, description="MiB of writes that may wait; beyond it RESOURCE_EXHAUSTED.")
    created_at_back: float = Field(12 * HOUR, ge=0, le=LONGEST, description="How old a `created_at` may be.")
    created_at_ahead: float = Field(5 * 60, ge=0, le=LONGEST, description="How far ahead a `created_at` may be.")
    importance_policy: Path = Field(PACKAGED_POLICY, description="The importance policy, a TOML file.")
    base_model: str = Field("", description="The base model: a folder or name. Empty: all-MiniLM-L6-v2.")
    item_template: str = Field("{title}. {text}", description="Default template of an item's text.")
    trainer: str = Field("", description="Address of a `clickstream trainer`. Empty: train in the serving process.")
    run_training: bool = Field(
        True, description="Whether this server takes up queued training runs and sessions put forward for improvement."
    )
    run_lease: float = Field(30, ge=3, le=DAY, description="After how long a dead server's run is taken up by another.")
    improvement_group: int = Field(
        100, ge=1, le=limits.IMPROVEMENT_GROUP, description="So many waiting sessions become a training run."
    )
    improvement_age: float = Field(
        HOUR, ge=0, le=30 * DAY, description="A session that waits this long becomes one with fewer."
    )
    improvement_attempts: int = Field(3, ge=1, le=100, description="After so many failed runs a session has failed.")
    improvement_backoff: float = Field(
        600, ge=0, le=DAY, description="Wait after a session's first failed run; it doubles, up to a day."
    )
    auto_promote: bool = Field(
        False,
        description="Whether a worker promotes what passed its gate. Off by default: vectors of two versions do not "
        "compare, so who searches an index promotes when the index is ready.",
    )
    auto_release_sessions: int = Field(
        0, ge=0, description="A worker releases the collecting batch at so many sessions. 0: it does not."
    )
    auto_release_age: float = Field(
        0,
        ge=0,
        le=LONGEST,
        description="A worker releases the collecting batch so long after its first session. 0: it does not.",
    )
    archive_after: float = Field(
        0,
        ge=0,
        le=LONGEST,
        description="A worker archives a batch so long after it was trained or failed. 0: it does not.",
    )
    shutdown_grace: float = Field(
        30, ge=0, le=DAY, description="How long accepted work may take to finish after SIGTERM."
    )
    reuse_port: bool = Field(False, description="Set by the supervisor: the port is shared with its other processes.")
    ready_fd: int | None = Field(None, description="Set by the supervisor: where to write a byte when up.")
