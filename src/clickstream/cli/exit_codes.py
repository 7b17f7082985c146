"""The exit codes of every command. `docs/reference/exit-codes.md` is their table."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a scheduler learns from a command that has ended: whether to go on, to repeat it or to call a person."""

    DONE = 0
    # A defect of the command or the server, for example a traceback; or nothing in a file could be used.
    FAILED = 1
    # click, too, ends with this code where a command is used wrongly.
    WRONG_USE = 2
    PARTLY_DONE = 3
    SERVER_AWAY = 4
    REFUSED = 5
    RUN_FAILED = 6
    GATE_NOT_PASSED = 7
    # 128 + SIGINT, as shells have it.
    INTERRUPTED = 130
