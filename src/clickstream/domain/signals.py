"""Figures about the service's own work, for whatever collects them: the one way in which our code counts."""

from typing import Protocol

from typing_extensions import override


class Signals(Protocol):
    """Takes figures. A call must be cheap, may come from any thread, and never raises.

    A name is in snake case and ends in its unit: `write_group_wait_seconds`. Labels split a figure into series;
    a label's values must be few, so never an id.
    """

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Adds `amount` (0 or more) to a total."""
        ...

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Adds one value to a distribution."""
        ...

    def set(self, name: str, value: float, **labels: str) -> None:
        """Sets a figure that goes up and down to its present value."""
        ...


class NoSignals(Signals):
    """Collects nothing: the default."""

    @override
    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        pass

    @override
    def observe(self, name: str, value: float, **labels: str) -> None:
        pass

    @override
    def set(self, name: str, value: float, **labels: str) -> None:
        pass
