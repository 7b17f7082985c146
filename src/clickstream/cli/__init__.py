"""The command line; `commands` has its parts."""

from clickstream.cli.commands import main

__all__ = ["main"]
