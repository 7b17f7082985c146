"""The course of an import: send what is rebuilt, count it, and remember how far it came."""

import time
from collections.abc import Callable, Iterable
from typing import Protocol

import grpc

from clickstream.transfer.account import ImportAccount
from clickstream.transfer.sender import Outgoing, Sender
from clickstream.transfer.spool import Spool

# Seconds between two notes of how far the sending came.
NOTE_SECONDS = 2.0


class Progress(Protocol):
    """Is called with what an import does now, how much of it is done, and how much there is; 0: unknown."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Shows it."""
        ...


def no_progress(stage: str, done: int, total: int) -> None:
    """Shows nothing."""


def send(
    searches: Iterable[Outgoing],
    account: ImportAccount,
    channel: grpc.Channel,
    sleep: Callable[[float], None] = time.sleep,
    progress: Progress = no_progress,
    spool: Spool | None = None,
    total: int = 0,
) -> ImportAccount:
    """Sends searches in order, counts every document in the account, and returns it.

    Args:
        searches: What to send.
        account: The account so far.
        channel: A channel to the service.
        sleep: Waits between attempts; for tests.
        progress: Shows how far it came, in documents.
        spool: Where the account is kept beside the last place that is done, so that an import can go on. None: nowhere.
        total: The number of documents, for `progress`.
    """
    sender = Sender(channel, sleep)
    noted = time.monotonic()
    for sent in sender.send_all(searches):
        sent.record(account)
        if time.monotonic() - noted > NOTE_SECONDS:
            noted = time.monotonic()
            progress("sending", account.accounted, total)
            if spool is not None and not sender.stopped:
                spool.commit(sent=sent.outgoing.place, account=account.as_state())
    progress("sending", account.accounted, total)
    account.stopped, account.may_repeat = sender.stopped, sender.may_repeat
    if spool is not None and not sender.stopped:
        spool.commit(finished=True)
    return account
