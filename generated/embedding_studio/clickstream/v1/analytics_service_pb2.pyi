import datetime

from embedding_studio.clickstream.v1 import figures_pb2 as _figures_pb2
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
