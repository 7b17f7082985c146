"""Streams that are open: what they wait for, what their callers have not read yet, and how they are cut."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import Message

from clickstream.domain.call_figures import CallFigures
from clickstream.domain.errors import ClickstreamError
from clickstream.servicers.access.rate_limits import Share, Shares

# Stands for the end of a stream.
END = object()
# The interval at which a stream asks again whether its caller has taken responses.
ROOM_SECONDS = 0.05
SWEEP_SECONDS = 5.0

Context = grpc.aio.ServicerContext[Any, Any]


class OpenStream:
    """One open stream, which one task may read while another one writes to it.

    `first` is its first request, once that is parsed. Its messages are counted in `figures`, if there are any.
    """

    def __init__(self, share: Share, shares: Shares, context: Context, figures: CallFigures | None = None) -> None:
        self._figures = figures
        self._share = share
        self._shares = shares
        self.context = context
        self.first: Message | None = None
        self._reader: asyncio.Task[Any] | None = None
        self._writer: asyncio.Task[Any] | None = None
        self._writes_since = 0.0
        self._error: ClickstreamError | None = None

    async def next(self, messages: AsyncIterator[Any]) -> Any:
        """The next message of an iterator, or `END`. Raises what `cut` was given, between two messages only."""
        if self._error is None:
            self._reader = asyncio.current_task()
            try:
                return await anext(messages, END)
            except asyncio.CancelledError:
                self._caught(self._reader)
            finally:
                self._reader = None
        self._raise_if_cut()
        return END

    async def received(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The requests of the stream, as fast as the caller's share of bytes allows. Raises as `next` does."""
        while (request := await self.next(requests)) is not END:
            await self.pace(len(request))
            yield request

    def took(self, size: int) -> None:
        """Counts a message of `size` bytes from the caller."""
        if self._figures is not None:
            self._figures.took(size)

    async def pace(self, size: int) -> None:
        """Counts a message of `size` bytes, and waits until the caller's share has room for it."""
        self.took(size)
        while self._error is None:
            wait = self._share.take_message(size, self._shares.clock())
            if not wait:
                return
            await asyncio.sleep(min(wait, 1.0))

    def note(self, request: Message) -> Message:
        """Keeps the first request; returns the request."""
        if self.first is None:
            self.first = request
        return request

    async def write(self, response: Message | bytes) -> None:
        """Sends a response; returns when gRPC has taken it. Raises what `cut_if_unread` was given."""
        sent = same_bytes(response)
        share, bound, size = self._share, self._shares.limits.unread_bytes, len(sent)
        while self._error is None:
            if not share.unread_bytes or share.unread_bytes + size <= bound:
                break
            await asyncio.sleep(ROOM_SECONDS)
        share.unread_bytes += size
        self._writer, self._writes_since = asyncio.current_task(), self._shares.clock()
        try:
            await self.context.write(sent)
            if self._figures is not None:
                self._figures.gave(size)
        except asyncio.CancelledError:
            self._caught(self._writer)
            self._raise_if_cut()
        except Exception as error:  # gRPC's own, which has no public class: the caller has gone
            raise asyncio.CancelledError from error
        finally:
            self._writer = None
            share.unread_bytes -= size

    def _raise_if_cut(self) -> None:
        if self._error is not None:
            raise self._error

    def _caught(self, task: asyncio.Task[Any] | None) -> None:
        """Takes a cancellation of this task by `cut`; raises any other on."""
        if self._error is None or task is None:
            raise asyncio.CancelledError
        task.uncancel()

    def cut(self, error: ClickstreamError) -> None:
        """Ends the stream with this error as soon as it waits for a message. What it has begun to write is written."""
        self._error = error
        if self._reader is not None:
            self._reader.cancel()

    def cut_if_unread(self, seconds: float, error: ClickstreamError) -> None:
        """Ends the stream with this error if its caller has not taken the present response for so long."""
        if self._writer is not None and self._shares.clock() - self._writes_since > seconds:
            self._error = error
            self._writer.cancel()


def same_bytes(response: Message | bytes) -> bytes:
    """Serializes with sorted maps; otherwise their order differs from process to process (R14)."""
    return response if isinstance(response, bytes) else response.SerializeToString(deterministic=True)
