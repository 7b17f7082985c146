import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Window(_message.Message):
    __slots__ = ("start", "end", "time_zone")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    time_zone: str
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., time_zone: _Optional[str] = ...) -> None: ...

class Filter(_message.Message):
    __slots__ = ("dimension", "values")
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    dimension: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dimension: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class Population(_message.Message):
    __slots__ = ("include_irrelevant", "collapse_typing", "include_robots")
    INCLUDE_IRRELEVANT_FIELD_NUMBER: _ClassVar[int]
    COLLAPSE_TYPING_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ROBOTS_FIELD_NUMBER: _ClassVar[int]
    include_irrelevant: bool
    collapse_typing: bool
    include_robots: bool
    def __init__(self, include_irrelevant: bool = ..., collapse_typing: bool = ..., include_robots: bool = ...) -> None: ...

class Rate(_message.Message):
    __slots__ = ("numerator", "denominator", "value", "lower", "upper")
    NUMERATOR_FIELD_NUMBER: _ClassVar[int]
    DENOMINATOR_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    numerator: int
    denominator: int
    value: float
    lower: float
    upper: float
    def __init__(self, numerator: _Optional[int] = ..., denominator: _Optional[int] = ..., value: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ...) -> None: ...

class EventFigures(_message.Message):
    __slots__ = ("type", "count", "unshown_count", "search_rate")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    UNSHOWN_COUNT_FIELD_NUMBER: _ClassVar[int]
    SEARCH_RATE_FIELD_NUMBER: _ClassVar[int]
    type: str
    count: int
    unshown_count: int
    search_rate: Rate
    def __init__(self, type: _Optional[str] = ..., count: _Optional[int] = ..., unshown_count: _Optional[int] = ..., search_rate: _Optional[_Union[Rate, _Mapping]] = ...) -> None: ...

class PlaceCount(_message.Message):
    __slots__ = ("first_place", "last_place", "clicks")
    FIRST_PLACE_FIELD_NUMBER: _ClassVar[int]
    LAST_PLACE_FIELD_NUMBER: _ClassVar[int]
    CLICKS_FIELD_NUMBER: _ClassVar[int]
    first_place: int
    last_place: int
    clicks: int
    def __init__(self, first_place: _Optional[int] = ..., last_place: _Optional[int] = ..., clicks: _Optional[int] = ...) -> None: ...

class Figures(_message.Message):
    __slots__ = ("searches", "clickable_searches", "irrelevant_searches", "typing_searches", "users", "showings", "events", "unshown_events", "click_through_rate", "clicks_per_showing", "add_to_cart_rate", "purchase_rate", "no_click_rate", "no_results_rate", "mean_click_place", "click_places", "median_first_click_seconds", "p90_first_click_seconds", "abandoned_rate", "refinement_rate", "robot_searches")
    SEARCHES_FIELD_NUMBER: _ClassVar[int]
    CLICKABLE_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    IRRELEVANT_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    TYPING_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    SHOWINGS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    UNSHOWN_EVENTS_FIELD_NUMBER: _ClassVar[int]
    CLICK_THROUGH_RATE_FIELD_NUMBER: _ClassVar[int]
    CLICKS_PER_SHOWING_FIELD_NUMBER: _ClassVar[int]
    ADD_TO_CART_RATE_FIELD_NUMBER: _ClassVar[int]
    PURCHASE_RATE_FIELD_NUMBER: _ClassVar[int]
    NO_CLICK_RATE_FIELD_NUMBER: _ClassVar[int]
    NO_RESULTS_RATE_FIELD_NUMBER: _ClassVar[int]
    MEAN_CLICK_PLACE_FIELD_NUMBER: _ClassVar[int]
    CLICK_PLACES_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIRST_CLICK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    P90_FIRST_CLICK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ABANDONED_RATE_FIELD_NUMBER: _ClassVar[int]
    REFINEMENT_RATE_FIELD_NUMBER: _ClassVar[int]
    ROBOT_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    searches: int
    clickable_searches: int
    irrelevant_searches: int
    typing_searches: int
    users: int
    showings: int
    events: _containers.RepeatedCompositeFieldContainer[EventFigures]
    unshown_events: int
    click_through_rate: Rate
    clicks_per_showing: Rate
    add_to_cart_rate: Rate
    purchase_rate: Rate
    no_click_rate: Rate
    no_results_rate: Rate
    mean_click_place: float
    click_places: _containers.RepeatedCompositeFieldContainer[PlaceCount]
    median_first_click_seconds: float
    p90_first_click_seconds: float
    abandoned_rate: Rate
    refinement_rate: Rate
    robot_searches: int
    def __init__(self, searches: _Optional[int] = ..., clickable_searches: _Optional[int] = ..., irrelevant_searches: _Optional[int] = ..., typing_searches: _Optional[int] = ..., users: _Optional[int] = ..., showings: _Optional[int] = ..., events: _Optional[_Iterable[_Union[EventFigures, _Mapping]]] = ..., unshown_events: _Optional[int] = ..., click_through_rate: _Optional[_Union[Rate, _Mapping]] = ..., clicks_per_showing: _Optional[_Union[Rate, _Mapping]] = ..., add_to_cart_rate: _Optional[_Union[Rate, _Mapping]] = ..., purchase_rate: _Optional[_Union[Rate, _Mapping]] = ..., no_click_rate: _Optional[_Union[Rate, _Mapping]] = ..., no_results_rate: _Optional[_Union[Rate, _Mapping]] = ..., mean_click_place: _Optional[float] = ..., click_places: _Optional[_Iterable[_Union[PlaceCount, _Mapping]]] = ..., median_first_click_seconds: _Optional[float] = ..., p90_first_click_seconds: _Optional[float] = ..., abandoned_rate: _Optional[_Union[Rate, _Mapping]] = ..., refinement_rate: _Optional[_Union[Rate, _Mapping]] = ..., robot_searches: _Optional[int] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("window", "exact_until", "from_sessions", "importance_policy_version", "robot_verdict_number")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    EXACT_UNTIL_FIELD_NUMBER: _ClassVar[int]
    FROM_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    IMPORTANCE_POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    ROBOT_VERDICT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    window: Window
    exact_until: _timestamp_pb2.Timestamp
    from_sessions: bool
    importance_policy_version: str
    robot_verdict_number: int
    def __init__(self, window: _Optional[_Union[Window, _Mapping]] = ..., exact_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., from_sessions: bool = ..., importance_policy_version: _Optional[str] = ..., robot_verdict_number: _Optional[int] = ...) -> None: ...
