import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RobotClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROBOT_CLASS_UNSPECIFIED: _ClassVar[RobotClass]
    ROBOT_CLASS_HUMAN: _ClassVar[RobotClass]
    ROBOT_CLASS_UNSURE: _ClassVar[RobotClass]
    ROBOT_CLASS_ROBOT: _ClassVar[RobotClass]
ROBOT_CLASS_UNSPECIFIED: RobotClass
ROBOT_CLASS_HUMAN: RobotClass
ROBOT_CLASS_UNSURE: RobotClass
ROBOT_CLASS_ROBOT: RobotClass

class RobotVerdict(_message.Message):
    __slots__ = ("number", "user_id", "day", "robot", "undoes_all", "policy_version", "by", "reason", "judged_at", "findings", "in_force")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    ROBOT_FIELD_NUMBER: _ClassVar[int]
    UNDOES_ALL_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    JUDGED_AT_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    number: int
    user_id: str
    day: str
    robot: bool
    undoes_all: bool
    policy_version: str
    by: str
    reason: str
    judged_at: _timestamp_pb2.Timestamp
    findings: _containers.RepeatedCompositeFieldContainer[RobotFinding]
    in_force: bool
    def __init__(self, number: _Optional[int] = ..., user_id: _Optional[str] = ..., day: _Optional[str] = ..., robot: bool = ..., undoes_all: bool = ..., policy_version: _Optional[str] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ..., judged_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., findings: _Optional[_Iterable[_Union[RobotFinding, _Mapping]]] = ..., in_force: bool = ...) -> None: ...

class RobotFinding(_message.Message):
    __slots__ = ("rule", "value", "human_below", "robot_from", "strong")
    RULE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    HUMAN_BELOW_FIELD_NUMBER: _ClassVar[int]
    ROBOT_FROM_FIELD_NUMBER: _ClassVar[int]
    STRONG_FIELD_NUMBER: _ClassVar[int]
    rule: str
    value: float
    human_below: float
    robot_from: float
    strong: bool
    def __init__(self, rule: _Optional[str] = ..., value: _Optional[float] = ..., human_below: _Optional[float] = ..., robot_from: _Optional[float] = ..., strong: bool = ...) -> None: ...

class RobotJudgement(_message.Message):
    __slots__ = ("user_id", "day", "search_count", "findings", "example_session_ids")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_COUNT_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_SESSION_IDS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    day: str
    search_count: int
    findings: _containers.RepeatedCompositeFieldContainer[RobotFinding]
    example_session_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_id: _Optional[str] = ..., day: _Optional[str] = ..., search_count: _Optional[int] = ..., findings: _Optional[_Iterable[_Union[RobotFinding, _Mapping]]] = ..., example_session_ids: _Optional[_Iterable[str]] = ..., **kwargs) -> None: ...
