"""The log as JSON: one object in one line for each thing that happened."""

import json
import logging
from datetime import UTC, datetime

from typing_extensions import override

FIELDS = ("run_id", "method", "status", "seconds", "request_id", "trace_id", "peer", "caller")
"""What a line may say beside its message; a code that logs gives it as `extra`."""


class JsonLines(logging.Formatter):
    """Formats a record as one line: time in UTC, level, logger, message, the given `FIELDS`, and a traceback."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        row = {"at": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        row |= {name: value for name in FIELDS if (value := getattr(record, name, None)) not in (None, "")}
        if record.exc_info:
            row["traceback"] = self.formatException(record.exc_info)
        return json.dumps(row, ensure_ascii=False, default=str)


def log_as_json() -> None:
    """Makes the root logger's lines JSON."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines())


def is_json() -> bool:
    """Whether the root logger's lines are JSON."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)
