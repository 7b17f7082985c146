"""The progress of an import or export on a terminal."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


@contextlib.contextmanager
def transfer_progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Yields what shows the stage of a transfer, and how many of how many documents it has done; 0: unknown."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[counts]}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                for task in tasks.values():
                    progress.stop_task(task)
                tasks[stage] = progress.add_task(stage, total=total or None, counts="")
            counts = f"{done:,} of {total:,}" if total else f"{done:,}"
            progress.update(tasks[stage], completed=done, total=total or None, counts=counts)

        yield show
