"""Imports UBI files: reads them into a spool, rebuilds search after search from it, and sends them in order."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grpc

from clickstream.transfer.account import DocumentOutcome, ImportAccount
from clickstream.transfer.documents import documents
from clickstream.transfer.importing import Progress, no_progress, send
from clickstream.transfer.sender import Outgoing
from clickstream.transfer.spool import Spool, key_of, spooling
from clickstream.ubi.records import UNKNOWN, EventLine, Unread, packed, read, unpacked
from clickstream.ubi.searches import Documents, rebuild, shown_ids

# Documents between two commits of the spool, which are also shown as progress.
_COMMITTED = 20_000


def import_ubi(
    paths: Sequence[Path],
    channel: grpc.Channel,
    sleep: Callable[[float], None] = time.sleep,
    progress: Progress = no_progress,
    kept_at: Path | None = None,
) -> ImportAccount:
    """Imports OpenSearch UBI files and returns the account.

    Importing the same files again changes nothing: ids and content come from the files alone. Memory does not grow with
    their size. The import ends early if the server stays away or refuses the caller. Then `stopped` of the account is
    the reason, and the documents without an answer are unacknowledged.

    Args:
        paths: The files, whose documents may name each other's searches.
        channel: A channel to the server's client port.
        sleep: Waits between attempts; for tests.
        progress: Shows how far it came.
        kept_at: The file where the state is kept, from which a killed import goes on. None: nowhere.

    Raises:
        OSError: A file cannot be read, or the spool cannot be written.
    """
    with spooling(paths, "ubi", kept_at) as spool:
        if not spool.state("sorted"):
            spool_documents(paths, spool, progress)
        state = spool.state("account")
        account = ImportAccount.from_state(state) if state else _read_account(spool)
        searches = rebuilt(spool, spool.state("sent"))
        return send(searches, account, channel, sleep, progress, spool, account.documents)


def spool_documents(paths: Sequence[Path], spool: Spool, progress: Progress = no_progress) -> None:
    """Reads the files into the spool, behind what it has already."""
    account = ImportAccount.from_state(spool.state("read")) if spool.state("read") else ImportAccount()
    reached = spool.state("reached")
    lines = documents(paths)
    place = -1
    for one in read(lines):
        place = one.line if isinstance(one, Unread) else one.record.line
        if reached is not None and place <= reached:
            continue
        account.documents += 1
        if isinstance(one, Unread):
            account.add(DocumentOutcome.REJECTED, one.reason, one.kind, one.line)
        else:
            record = one.record
            spool.add(
                place, key_of(record.query_id), key_of(one.schema, one.document_id), one.digest[:16], packed(record)
            )
            if isinstance(record, EventLine) and record.item and record.object_id:
                spool.add_item(record.object_id, record.item)
        if account.documents % _COMMITTED == 0:
            spool.commit(read=account.as_state(), reached=place)
            progress("reading", account.documents, 0)
    spool.commit(read=account.as_state(), reached=place)
    progress("sorting", account.documents, 0)
    spool.sort()


def _read_account(spool: Spool) -> ImportAccount:
    return ImportAccount.from_state(spool.state("read"))


def rebuilt(spool: Spool, after: int | None = None) -> Iterator[Outgoing]:
    """Rebuilds the searches of a spool in the order in which the files first name them, behind the place `after`."""
    account = _read_account(spool)
    unreadable = sum(
        counts[UNKNOWN] + counts["query"]
        for bucket, counts in account.counts.items()
        if bucket.outcome is DocumentOutcome.REJECTED
    )
    for first, rows in spool.searches(-1 if after is None else after):
        records = [(unpacked(row.place, row.record), row.same) for row in rows]
        search = Documents(records[0][0].query_id, first)
        for record, same in records:
            search.add(record, same)
        yield rebuild(search, spool.items(dict.fromkeys(shown_ids(search))), unreadable)
