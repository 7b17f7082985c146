"""What a training run reported last, until it is stored."""

from dataclasses import replace

from clickstream.runs import TrainingProgress


class Latest:
    """What the fine-tuning module reported last, with every point of the curve that is not yet stored."""

    def __init__(self) -> None:
        self.progress: TrainingProgress | None = None

    def take_up(self, report: TrainingProgress) -> None:
        """Takes up a report, and keeps the points that are not yet stored."""
        waiting = self.progress.points if self.progress else ()
        self.progress = replace(report, points=(*waiting, *report.points))

    def drop_stored(self, stored: TrainingProgress) -> None:
        """Forgets the points that have been stored meanwhile."""
        if self.progress:
            self.progress = replace(self.progress, points=self.progress.points[len(stored.points) :])
