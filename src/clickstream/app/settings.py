"""All settings, from the environment: `CLICKSTREAM_*`, and `MONGODB_URI`."""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from clickstream.conversion.importance import PACKAGED_POLICY
from clickstream.domain import limits
from clickstream.quality.robot_policy import PACKAGED_ROBOT_POLICY

HOUR = 3600.0
DAY = 24 * HOUR
# Longer than any data are kept, and short enough that now minus it is still a date.
LONGEST = 100 * 365 * DAY


class Settings(BaseSettings):
    """The settings of one process; `app` hands each part what it needs. Durations are in seconds and bounded."""

    model_config = SettingsConfigDict(
        env_prefix="CLICKSTREAM_", frozen=True, extra="ignore", env_ignore_empty=True, allow_inf_nan=False
    )

    listen: str = Field("127.0.0.1:50051", description="Address and port of the gRPC server; port 0 takes a free one.")
    internal_listen: str = Field(
        "",
        description="Second address, for every method; `listen` then serves only what search backends call. "
        "Empty: `listen` serves every method.",
    )
    tokens: Path | None = Field(None, description="Token file: who may call what. Empty: everybody everything.")
    tls_cert: Path | None = Field(None, description="Certificate of `listen`, in PEM. Empty: plain text.")
    tls_key: Path | None = Field(None, description="Private key of that certificate.")
    tls_client_ca: Path | None = Field(
        None, description="Authorities of client certificates, which callers of `listen` must then show."
    )
    internal_tls_cert: Path | None = Field(None, description="Certificate of `internal_listen`.")
    internal_tls_key: Path | None = Field(None, description="Private key of that certificate.")
    internal_tls_client_ca: Path | None = Field(
        None, description="Authorities of client certificates, which callers of `internal_listen` must then show."
    )
    insecure: bool = Field(
        False, description="Whether an address beyond this machine may be served without TLS or without tokens."
    )
    reflection: bool = Field(True, description="Whether `listen` describes its services to tools such as grpcurl.")
    internal_reflection: bool = Field(True, description="Whether `internal_listen` describes its services.")
    allow_compression: bool = Field(
        False,
        description="Whether compressed requests are taken. Off by default: gRPC unpacks a request before it looks "
        "at its size.",
    )
    audit_log: Path | None = Field(
        None, description="File of the audit log. Empty: with a token file, the lines go to the log of the process."
    )
    caller_calls: int = Field(10_000, ge=1, description="Calls a second of one caller, in one process.")
    caller_mb: int = Field(256, ge=1, description="MiB of requests a second of one caller, in one process.")
    caller_streams: int = Field(200, ge=1, description="Open streams of one caller, in one process.")
    caller_bulk_reads: int = Field(
        24, ge=1, description="Open streams of sessions, inputs, lineage or models of one caller, in one process."
    )
    caller_unread_mb: int = Field(
        64, ge=1, description="MiB of responses that one caller may leave unread, in one process; streams then wait."
    )
    calls_in_hand: int = Field(4_000, ge=1, description="Calls and streams of all callers, in one process.")
    metrics_listen: str = Field(
        "",
        description="Address and port of metrics and probes, over plain HTTP; port 0 takes a free one. Empty: none.",
    )
    log_format: Literal["text", "json"] = Field("text", description="Format of the log's lines: `text` or `json`.")
    slow_call: float = Field(
        5, ge=0, le=HOUR, description="Unary calls that take longer are logged, without their content. 0: none."
    )
    data_dir: Path = Field(Path(".data"), description="Folder of the embedded MongoDB, of checkpoints and of models.")
    processes: int = Field(
        0, ge=0, description="Number of serving processes on one port. 0: one process does everything."
    )
    pin: bool | None = Field(
        None,
        description="Whether each serving process keeps to one CPU core. Empty: yes, if that leaves a core free.",
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
        ge=0.001,  # the driver counts milliseconds, and reads 0 as no limit
        le=HOUR,
        description="How long a store operation may take, retries included.",
    )
    write_queue_mb: int = Field(64, ge=8, description="MiB of writes that may wait. Beyond it: RESOURCE_EXHAUSTED.")
    created_at_back: float = Field(12 * HOUR, ge=0, le=LONGEST, description="How far back a `created_at` may lie.")
    created_at_ahead: float = Field(5 * 60, ge=0, le=LONGEST, description="How far ahead a `created_at` may lie.")
    importance_policy: Path = Field(PACKAGED_POLICY, description="The importance policy, a TOML file.")
    segments: str = Field(
        "",
        description="Paths that figures are broken down by at no cost: `context.locale,meta.brand`, at most 8.",
    )
    robot_policy: Path = Field(PACKAGED_ROBOT_POLICY, description="The robot policy, a TOML file.")
    base_model: str = Field("", description="The configured base model: a folder or name. Empty: all-MiniLM-L6-v2.")
    item_template: str = Field("{title}. {text}", description="Default template of an item's text.")
    trainer: str = Field("", description="Address of a `clickstream trainer`. Empty: train in the serving process.")
    trainer_token_file: Path | None = Field(None, description="File with the token that the trainer wants.")
    trainer_tls_ca: Path | None = Field(
        None, description="Authorities of the trainer's certificate, in PEM. Empty: plain text."
    )
    trainer_tls_cert: Path | None = Field(None, description="Client certificate that the trainer wants, in PEM.")
    trainer_tls_key: Path | None = Field(None, description="Private key of that certificate.")
    run_training: bool = Field(
        True, description="Whether this server works on training runs, the improvement queue and the upkeep of batches."
    )
    run_lease: float = Field(
        30,
        ge=3,
        le=DAY,
        description="Lease of a training run. If it ends without being renewed, another worker takes the run up.",
    )
    improvement_group: int = Field(
        100,
        ge=1,
        le=limits.IMPROVEMENT_GROUP,
        description="Number of waiting sessions in the improvement queue that starts a training run.",
    )
    improvement_age: float = Field(
        HOUR, ge=0, le=30 * DAY, description="A session that waits this long starts a run with fewer sessions."
    )
    improvement_attempts: int = Field(3, ge=1, le=100, description="Failed runs after which a session is given up.")
    improvement_backoff: float = Field(
        600, ge=0, le=DAY, description="Wait after a session's first failed run; it doubles, up to a day."
    )
    auto_promote: bool = Field(
        False,
        description="Whether a worker promotes a version that passed its gate. Off by default: vectors of two "
        "versions do not compare, so the team that searches an index promotes when the index is ready.",
    )
    auto_release_sessions: int = Field(
        0, ge=0, description="Number of sessions at which a worker releases the collecting batch. 0: never."
    )
    auto_release_age: float = Field(
        0,
        ge=0,
        le=LONGEST,
        description="Time after the first session at which a worker releases the collecting batch. 0: never.",
    )
    archive_after: float = Field(
        0,
        ge=0,
        le=LONGEST,
        description="Time after its last training at which a worker archives a batch. 0: never.",
    )
    shutdown_grace: float = Field(
        30, ge=0, le=DAY, description="How long accepted work may take to finish after SIGTERM."
    )
    reuse_port: bool = Field(False, description="Set by the supervisor: the port is shared with its other processes.")
    ready_fd: int | None = Field(
        None,
        description="Set by the supervisor: the file descriptor to which this process writes a byte when it serves.",
    )
