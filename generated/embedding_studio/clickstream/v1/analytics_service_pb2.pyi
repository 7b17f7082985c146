import datetime

from embedding_studio.clickstream.v1 import batch_service_pb2 as _batch_service_pb2
from embedding_studio.clickstream.v1 import data_quality_pb2 as _data_quality_pb2
from embedding_studio.clickstream.v1 import figures_pb2 as _figures_pb2
from embedding_studio.clickstream.v1 import robot_verdict_pb2 as _robot_verdict_pb2
from embedding_studio.clickstream.v1 import training_run_pb2 as _training_run_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Bucket(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUCKET_UNSPECIFIED: _ClassVar[Bucket]
    BUCKET_HOUR: _ClassVar[Bucket]
    BUCKET_DAY: _ClassVar[Bucket]
    BUCKET_WEEK: _ClassVar[Bucket]

class TopList(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOP_LIST_UNSPECIFIED: _ClassVar[TopList]
    TOP_LIST_QUERIES: _ClassVar[TopList]
    TOP_LIST_QUERIES_WITHOUT_RESULTS: _ClassVar[TopList]
    TOP_LIST_QUERIES_WITHOUT_CLICKS: _ClassVar[TopList]
    TOP_LIST_LOWEST_CLICK_THROUGH: _ClassVar[TopList]
    TOP_LIST_ITEMS: _ClassVar[TopList]
    TOP_LIST_ITEMS_WITHOUT_CLICKS: _ClassVar[TopList]
    TOP_LIST_RISING: _ClassVar[TopList]
    TOP_LIST_FALLING: _ClassVar[TopList]
BUCKET_UNSPECIFIED: Bucket
BUCKET_HOUR: Bucket
BUCKET_DAY: Bucket
BUCKET_WEEK: Bucket
TOP_LIST_UNSPECIFIED: TopList
TOP_LIST_QUERIES: TopList
TOP_LIST_QUERIES_WITHOUT_RESULTS: TopList
TOP_LIST_QUERIES_WITHOUT_CLICKS: TopList
TOP_LIST_LOWEST_CLICK_THROUGH: TopList
TOP_LIST_ITEMS: TopList
TOP_LIST_ITEMS_WITHOUT_CLICKS: TopList
TOP_LIST_RISING: TopList
TOP_LIST_FALLING: TopList

class QueryFiguresRequest(_message.Message):
    __slots__ = ("window", "bucket", "dimension", "filters", "population", "value_limit")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    POPULATION_FIELD_NUMBER: _ClassVar[int]
    VALUE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    window: _figures_pb2.Window
    bucket: Bucket
    dimension: str
    filters: _containers.RepeatedCompositeFieldContainer[_figures_pb2.Filter]
    population: _figures_pb2.Population
    value_limit: int
    def __init__(self, window: _Optional[_Union[_figures_pb2.Window, _Mapping]] = ..., bucket: _Optional[_Union[Bucket, str]] = ..., dimension: _Optional[str] = ..., filters: _Optional[_Iterable[_Union[_figures_pb2.Filter, _Mapping]]] = ..., population: _Optional[_Union[_figures_pb2.Population, _Mapping]] = ..., value_limit: _Optional[int] = ...) -> None: ...

class QueryFiguresResponse(_message.Message):
    __slots__ = ("rows", "total", "value_count", "coverage")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    VALUE_COUNT_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[FiguresRow]
    total: _figures_pb2.Figures
    value_count: int
    coverage: _figures_pb2.Coverage
    def __init__(self, rows: _Optional[_Iterable[_Union[FiguresRow, _Mapping]]] = ..., total: _Optional[_Union[_figures_pb2.Figures, _Mapping]] = ..., value_count: _Optional[int] = ..., coverage: _Optional[_Union[_figures_pb2.Coverage, _Mapping]] = ...) -> None: ...

class FiguresRow(_message.Message):
    __slots__ = ("start", "end", "value", "figures")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    value: str
    figures: _figures_pb2.Figures
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[str] = ..., figures: _Optional[_Union[_figures_pb2.Figures, _Mapping]] = ...) -> None: ...

class ListTopRequest(_message.Message):
    __slots__ = ("list", "window", "filters", "population", "min_searches", "page_size", "page_token")
    LIST_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    POPULATION_FIELD_NUMBER: _ClassVar[int]
    MIN_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    list: TopList
    window: _figures_pb2.Window
    filters: _containers.RepeatedCompositeFieldContainer[_figures_pb2.Filter]
    population: _figures_pb2.Population
    min_searches: int
    page_size: int
    page_token: str
    def __init__(self, list: _Optional[_Union[TopList, str]] = ..., window: _Optional[_Union[_figures_pb2.Window, _Mapping]] = ..., filters: _Optional[_Iterable[_Union[_figures_pb2.Filter, _Mapping]]] = ..., population: _Optional[_Union[_figures_pb2.Population, _Mapping]] = ..., min_searches: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTopResponse(_message.Message):
    __slots__ = ("rows", "next_page_token", "coverage")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[TopRow]
    next_page_token: str
    coverage: _figures_pb2.Coverage
    def __init__(self, rows: _Optional[_Iterable[_Union[TopRow, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., coverage: _Optional[_Union[_figures_pb2.Coverage, _Mapping]] = ...) -> None: ...

class TopRow(_message.Message):
    __slots__ = ("value", "figures", "searches_before")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    SEARCHES_BEFORE_FIELD_NUMBER: _ClassVar[int]
    value: str
    figures: _figures_pb2.Figures
    searches_before: int
    def __init__(self, value: _Optional[str] = ..., figures: _Optional[_Union[_figures_pb2.Figures, _Mapping]] = ..., searches_before: _Optional[int] = ...) -> None: ...

class CompareFiguresRequest(_message.Message):
    __slots__ = ("first", "second", "population")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    POPULATION_FIELD_NUMBER: _ClassVar[int]
    first: ComparedSide
    second: ComparedSide
    population: _figures_pb2.Population
    def __init__(self, first: _Optional[_Union[ComparedSide, _Mapping]] = ..., second: _Optional[_Union[ComparedSide, _Mapping]] = ..., population: _Optional[_Union[_figures_pb2.Population, _Mapping]] = ...) -> None: ...

class ComparedSide(_message.Message):
    __slots__ = ("window", "filters")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    window: _figures_pb2.Window
    filters: _containers.RepeatedCompositeFieldContainer[_figures_pb2.Filter]
    def __init__(self, window: _Optional[_Union[_figures_pb2.Window, _Mapping]] = ..., filters: _Optional[_Iterable[_Union[_figures_pb2.Filter, _Mapping]]] = ...) -> None: ...

class CompareFiguresResponse(_message.Message):
    __slots__ = ("first", "second", "differences", "warnings", "first_outlier_searches", "second_outlier_searches", "first_coverage", "second_coverage")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    FIRST_OUTLIER_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    SECOND_OUTLIER_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    FIRST_COVERAGE_FIELD_NUMBER: _ClassVar[int]
    SECOND_COVERAGE_FIELD_NUMBER: _ClassVar[int]
    first: _figures_pb2.Figures
    second: _figures_pb2.Figures
    differences: _containers.RepeatedCompositeFieldContainer[RateDifference]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    first_outlier_searches: int
    second_outlier_searches: int
    first_coverage: _figures_pb2.Coverage
    second_coverage: _figures_pb2.Coverage
    def __init__(self, first: _Optional[_Union[_figures_pb2.Figures, _Mapping]] = ..., second: _Optional[_Union[_figures_pb2.Figures, _Mapping]] = ..., differences: _Optional[_Iterable[_Union[RateDifference, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ..., first_outlier_searches: _Optional[int] = ..., second_outlier_searches: _Optional[int] = ..., first_coverage: _Optional[_Union[_figures_pb2.Coverage, _Mapping]] = ..., second_coverage: _Optional[_Union[_figures_pb2.Coverage, _Mapping]] = ...) -> None: ...

class RateDifference(_message.Message):
    __slots__ = ("name", "difference", "lower", "upper")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    name: str
    difference: float
    lower: float
    upper: float
    def __init__(self, name: _Optional[str] = ..., difference: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ...) -> None: ...

class GetDataQualityRequest(_message.Message):
    __slots__ = ("window", "batch_id", "group_by", "population")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    POPULATION_FIELD_NUMBER: _ClassVar[int]
    window: _figures_pb2.Window
    batch_id: str
    group_by: str
    population: _figures_pb2.Population
    def __init__(self, window: _Optional[_Union[_figures_pb2.Window, _Mapping]] = ..., batch_id: _Optional[str] = ..., group_by: _Optional[str] = ..., population: _Optional[_Union[_figures_pb2.Population, _Mapping]] = ...) -> None: ...

class GetDataQualityResponse(_message.Message):
    __slots__ = ("checks", "steps", "groups", "unnamed_types", "refusals", "coverage")
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    UNNAMED_TYPES_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    checks: _containers.RepeatedCompositeFieldContainer[_data_quality_pb2.QualityCheck]
    steps: _containers.RepeatedCompositeFieldContainer[_data_quality_pb2.QualityStep]
    groups: _containers.RepeatedCompositeFieldContainer[_data_quality_pb2.QualityGroup]
    unnamed_types: _containers.RepeatedCompositeFieldContainer[_data_quality_pb2.EventTypeCount]
    refusals: _containers.RepeatedCompositeFieldContainer[_data_quality_pb2.Refusals]
    coverage: _figures_pb2.Coverage
    def __init__(self, checks: _Optional[_Iterable[_Union[_data_quality_pb2.QualityCheck, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[_data_quality_pb2.QualityStep, _Mapping]]] = ..., groups: _Optional[_Iterable[_Union[_data_quality_pb2.QualityGroup, _Mapping]]] = ..., unnamed_types: _Optional[_Iterable[_Union[_data_quality_pb2.EventTypeCount, _Mapping]]] = ..., refusals: _Optional[_Iterable[_Union[_data_quality_pb2.Refusals, _Mapping]]] = ..., coverage: _Optional[_Union[_figures_pb2.Coverage, _Mapping]] = ...) -> None: ...

class GetBatchProgressRequest(_message.Message):
    __slots__ = ("batch_id", "page_size", "page_token")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    page_size: int
    page_token: str
    def __init__(self, batch_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetBatchProgressResponse(_message.Message):
    __slots__ = ("batches", "next_page_token", "oldest_pending_task_queued_at", "pending_tasks", "coverage")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    OLDEST_PENDING_TASK_QUEUED_AT_FIELD_NUMBER: _ClassVar[int]
    PENDING_TASKS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[BatchProgress]
    next_page_token: str
    oldest_pending_task_queued_at: _timestamp_pb2.Timestamp
    pending_tasks: int
    coverage: _figures_pb2.Coverage
    def __init__(self, batches: _Optional[_Iterable[_Union[BatchProgress, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., oldest_pending_task_queued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pending_tasks: _Optional[int] = ..., coverage: _Optional[_Union[_figures_pb2.Coverage, _Mapping]] = ...) -> None: ...

class BatchProgress(_message.Message):
    __slots__ = ("batch", "first_session_at", "last_session_at", "sessions_by_day", "convertible_sessions", "skipped_sessions", "runs")
    class SessionsByDayEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class SkippedSessionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    BATCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_SESSION_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_SESSION_AT_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_BY_DAY_FIELD_NUMBER: _ClassVar[int]
    CONVERTIBLE_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    batch: _batch_service_pb2.Batch
    first_session_at: _timestamp_pb2.Timestamp
    last_session_at: _timestamp_pb2.Timestamp
    sessions_by_day: _containers.ScalarMap[str, int]
    convertible_sessions: int
    skipped_sessions: _containers.ScalarMap[str, int]
    runs: _containers.RepeatedCompositeFieldContainer[BatchRun]
    def __init__(self, batch: _Optional[_Union[_batch_service_pb2.Batch, _Mapping]] = ..., first_session_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_session_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sessions_by_day: _Optional[_Mapping[str, int]] = ..., convertible_sessions: _Optional[int] = ..., skipped_sessions: _Optional[_Mapping[str, int]] = ..., runs: _Optional[_Iterable[_Union[BatchRun, _Mapping]]] = ...) -> None: ...

class BatchRun(_message.Message):
    __slots__ = ("run_id", "state", "reason", "queued_at", "ended_at", "input_count", "gate_passed")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    QUEUED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    INPUT_COUNT_FIELD_NUMBER: _ClassVar[int]
    GATE_PASSED_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    state: _training_run_pb2.TrainingRunState
    reason: str
    queued_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    input_count: int
    gate_passed: bool
    def __init__(self, run_id: _Optional[str] = ..., state: _Optional[_Union[_training_run_pb2.TrainingRunState, str]] = ..., reason: _Optional[str] = ..., queued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., input_count: _Optional[int] = ..., gate_passed: bool = ...) -> None: ...

class ListRobotVerdictsRequest(_message.Message):
    __slots__ = ("user_id", "day", "page_size", "page_token")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    day: str
    page_size: int
    page_token: str
    def __init__(self, user_id: _Optional[str] = ..., day: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRobotVerdictsResponse(_message.Message):
    __slots__ = ("verdicts", "next_page_token", "newest_number")
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NEWEST_NUMBER_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedCompositeFieldContainer[_robot_verdict_pb2.RobotVerdict]
    next_page_token: str
    newest_number: int
    def __init__(self, verdicts: _Optional[_Iterable[_Union[_robot_verdict_pb2.RobotVerdict, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., newest_number: _Optional[int] = ...) -> None: ...

class PreviewRobotVerdictsRequest(_message.Message):
    __slots__ = ("first_day", "last_day", "policy", "include_unsure")
    FIRST_DAY_FIELD_NUMBER: _ClassVar[int]
    LAST_DAY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_UNSURE_FIELD_NUMBER: _ClassVar[int]
    first_day: str
    last_day: str
    policy: str
    include_unsure: bool
    def __init__(self, first_day: _Optional[str] = ..., last_day: _Optional[str] = ..., policy: _Optional[str] = ..., include_unsure: bool = ...) -> None: ...

class PreviewRobotVerdictsResponse(_message.Message):
    __slots__ = ("judgements", "policy_version", "user_days", "robot_user_days", "unsure_user_days")
    JUDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    USER_DAYS_FIELD_NUMBER: _ClassVar[int]
    ROBOT_USER_DAYS_FIELD_NUMBER: _ClassVar[int]
    UNSURE_USER_DAYS_FIELD_NUMBER: _ClassVar[int]
    judgements: _containers.RepeatedCompositeFieldContainer[_robot_verdict_pb2.RobotJudgement]
    policy_version: str
    user_days: int
    robot_user_days: int
    unsure_user_days: int
    def __init__(self, judgements: _Optional[_Iterable[_Union[_robot_verdict_pb2.RobotJudgement, _Mapping]]] = ..., policy_version: _Optional[str] = ..., user_days: _Optional[int] = ..., robot_user_days: _Optional[int] = ..., unsure_user_days: _Optional[int] = ...) -> None: ...

class OverruleRobotVerdictRequest(_message.Message):
    __slots__ = ("request_id", "user_id", "day", "robot", "by", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    ROBOT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    user_id: str
    day: str
    robot: bool
    by: str
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., user_id: _Optional[str] = ..., day: _Optional[str] = ..., robot: bool = ..., by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class OverruleRobotVerdictResponse(_message.Message):
    __slots__ = ("verdict", "created")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    verdict: _robot_verdict_pb2.RobotVerdict
    created: bool
    def __init__(self, verdict: _Optional[_Union[_robot_verdict_pb2.RobotVerdict, _Mapping]] = ..., created: bool = ...) -> None: ...

class UndoRobotVerdictsRequest(_message.Message):
    __slots__ = ("request_id", "by", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    by: str
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class UndoRobotVerdictsResponse(_message.Message):
    __slots__ = ("verdict", "created")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    verdict: _robot_verdict_pb2.RobotVerdict
    created: bool
    def __init__(self, verdict: _Optional[_Union[_robot_verdict_pb2.RobotVerdict, _Mapping]] = ..., created: bool = ...) -> None: ...
