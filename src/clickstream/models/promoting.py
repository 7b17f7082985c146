"""Promotion, by a call or by a worker: a version is loaded before it serves."""

import asyncio
import builtins
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from clickstream.domain.errors import FailedPrecondition, NotFound, Reason
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.promotions import Promotion, PromotionOrder, next_entry


class PromotionLog(Protocol):
    """The log of promotions in the store; every method blocks."""

    def current(self) -> Promotion | None:
        """The last entry; None if nothing was ever promoted."""
        ...

    def list(self, before: int | None, limit: int) -> builtins.list[Promotion]:
        """Entries, the newest first, below sequence number `before`."""
        ...

    def knows(self, request_id: str) -> bool:
        """Whether an order with this request id was carried out."""
        ...

    def append(self, order: PromotionOrder, at: datetime) -> tuple[Promotion, bool]:
        """Carries an order out, once per request id; says whether it was now."""
        ...


Load = Callable[[str, float | None], Awaitable[object]]
"""(model version id, timeout in seconds) → embeds a text with the version, which then stays loaded."""


class Promoting:
    """The rule of promotion: a version serves only after it has embedded a text on the machine of the models."""

    def __init__(self, log: PromotionLog, load: Load, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._load = load
        self._clock = clock

    async def promote(
        self, version: ModelVersion, order: PromotionOrder, timeout: float | None
    ) -> tuple[Promotion, bool]:
        """Makes a version serve, once per request id; says whether it was now.

        Args:
            version: The one that the order names.
            order: What to do.
            timeout: How long loading may take, in seconds; None means without end.

        Raises:
            FailedPrecondition: The version did not pass its gate and the order is not forced, it cannot be loaded, or
                another version serves than expected.
            AlreadyExists: The request id was used for another order.
            Unavailable, ResourceExhausted: The store or the trainer did not answer, or has too much to do.
        """
        if not version.gate_passed and not order.forced:
            raise FailedPrecondition(
                Reason.GATE_NOT_PASSED,
                f"the version did not pass its gate: {version.gate_reason}",
                {"gate_reason": version.gate_reason},
            )
        return await self._carry_out(order, timeout)

    async def roll_back(self, order: PromotionOrder, timeout: float | None) -> tuple[Promotion, bool]:
        """Goes back to the version that served before, once per request id; says whether it was now.

        Raises:
            FailedPrecondition: No version served before, it cannot be loaded, or another serves than expected.
            AlreadyExists, Unavailable, ResourceExhausted: As for `promote`.
        """
        return await self._carry_out(order, timeout)

    async def _carry_out(self, order: PromotionOrder, timeout: float | None) -> tuple[Promotion, bool]:
        while not await asyncio.to_thread(self._log.knows, order.request_id):
            planned = await asyncio.to_thread(self._plan, order)
            await self._check_loads(planned.model_version_id, timeout)
            try:
                placed = replace(order, behind=planned.sequence - 1)
                return await asyncio.to_thread(self._log.append, placed, self._clock())
            except FailedPrecondition:
                continue  # another promotion came first, and a rollback may lead to another version now
        return await asyncio.to_thread(self._log.append, order, self._clock())

    def _plan(self, order: PromotionOrder) -> Promotion:
        """The entry that the order would append now. Raises FailedPrecondition."""
        current = self._log.current()
        before = self._log.list(current.previous + 1, 1) if current and current.previous else []
        return next_entry(order, current, before[0] if before else None, self._clock())

    async def _check_loads(self, model_version_id: str, timeout: float | None) -> None:
        try:
            await self._load(model_version_id, timeout)
        except (NotFound, FailedPrecondition) as error:
            message = f"{model_version_id} cannot be loaded: {error.message}"
            raise FailedPrecondition(Reason.STATE_CONFLICT, message, {"model_version_id": model_version_id}) from error
