"""The audit log: one JSON line for every call of an internal method that writes or exports."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from clickstream.servicers.access.tokens import Caller

AUDITED = {
    *("BatchService/GetBatchSessions", "BatchService/StreamBatchSessions", "BatchService/ReleaseBatch"),
    *("ImprovementService/UseSessionForImprovement", "ImprovementService/CancelImprovementTask"),
    *("ImprovementService/RetryImprovementTask", "TrainingService/StreamTrainingInputs"),
    *("TrainingService/StartTraining", "TrainingService/CancelTrainingRun"),
    *("ModelService/PromoteModel", "ModelService/RollbackModel", "ModelService/DownloadModel"),
    *("ModelService/StreamModelLineage", "ModelService/GetSessionLineage"),
    *("AnalyticsService/ListRobotVerdicts", "AnalyticsService/PreviewRobotVerdicts"),
    *("AnalyticsService/OverruleRobotVerdict", "AnalyticsService/UndoRobotVerdicts"),
    *("FineTuningService/FineTune", "ModelHostService/ReadModel"),
}
"""Methods that change something beside sessions and events, or hand out sessions, persons or models."""

_PERSONAL = {"user_id", "user_ids"}
_FILE_MODE = 0o600

logger = logging.getLogger("clickstream.audit")
Note = Callable[[Caller | None, str, Message | None, str], None]


class AuditLog:
    """Appends lines to a file, or writes them to the log `clickstream.audit` where no file is named.

    A line says when, who, from where, which method, which ids, and the outcome; never the content of a request, and
    no id of a person. A file that was moved or deleted is opened anew, so any log rotation works.
    """

    def __init__(self, path: Path | None, now: Callable[[], datetime]) -> None:
        """Opens the file. Raises ValueError if it cannot be written."""
        self._path = path
        self._now = now
        self._file = -1
        if path is not None:
            try:
                self._open(path)
            except OSError as error:
                raise ValueError(f"the audit log {path} cannot be written: {error.strerror}") from error

    def _open(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)

    def of(self, method: str) -> Note | None:
        """What notes a call of this method, `Service/Method`; None if its calls are not audited."""
        if method not in AUDITED:
            return None

        def note(caller: Caller | None, address: str, request: Message | None, status: str) -> None:
            self._write(
                {
                    "at": self._now().isoformat(timespec="milliseconds"),
                    "caller": caller.name if caller else "",
                    "address": address,
                    "method": method,
                    "ids": dict(_ids(request)) if request is not None else {},
                    "status": status,
                }
            )

        return note

    def _write(self, row: dict[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=False)
        if self._path is None:
            logger.info("%s", line)
            return
        try:
            if self._moved(self._path):
                os.close(self._file)
                self._open(self._path)
            os.write(self._file, line.encode() + b"\n")
        except OSError as error:
            logger.error("the audit log %s cannot be written (%s): %s", self._path, error.strerror, line)

    def _moved(self, path: Path) -> bool:
        try:
            there = path.stat()
        except FileNotFoundError:
            return True
        opened = os.fstat(self._file)
        return (there.st_dev, there.st_ino) != (opened.st_dev, opened.st_ino)


def _ids(message: Message, depth: int = 2) -> Iterator[tuple[str, Any]]:
    """The ids that a request names, also within its parts."""
    for field, value in message.ListFields():
        if field.name.endswith(("_id", "_ids")) and field.name not in _PERSONAL:
            yield field.name, list(value) if field.name.endswith("s") else value
        elif isinstance(value, Message) and depth > 1:
            yield from _ids(value, depth - 1)
