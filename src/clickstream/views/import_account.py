"""The account of an import, in the terminal and as data."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clickstream.transfer.account import Bucket, DocumentOutcome, ImportAccount

# Outcomes whose line numbers help to find the document.
_WITH_LINES = {DocumentOutcome.CONFLICT, DocumentOutcome.REJECTED, DocumentOutcome.UNACKNOWLEDGED}


def account_as_data(account: ImportAccount) -> dict[str, Any]:
    """The account for programs: the same counts as the table, in its order."""
    buckets = [
        {
            "outcome": bucket.outcome.value,
            "reason": bucket.reason,
            "documents": account.counts[bucket].total(),
            "kinds": dict(account.counts[bucket].most_common()),
            "first_lines": account.lines[bucket],
        }
        for bucket in _in_order(account)
    ]
    return {
        "documents": account.documents,
        "buckets": buckets,
        "sessions": {outcome.value: count for outcome, count in account.sessions.items()},
        "other_types": dict(account.other_types().most_common()),
        "cut": dict(account.cut.most_common()),
        "marks": account.marks,
        "stopped": account.stopped,
    }


def _in_order(account: ImportAccount) -> list[Bucket]:
    return sorted(account.counts, key=lambda bucket: (list(DocumentOutcome).index(bucket.outcome), bucket.reason))


def show_account(account: ImportAccount, console: Console) -> None:
    """Prints every bucket of the account with its kinds, and the first lines of documents that were not stored."""
    table = Table(title="What became of each document", title_justify="left")
    table.add_column("outcome")
    table.add_column("reason", overflow="fold")
    table.add_column("documents", justify="right")
    table.add_column("of which", overflow="fold")
    table.add_column("first lines", overflow="fold")
    for bucket in _in_order(account):
        counts = account.counts[bucket]
        kinds = ", ".join(f"{escape(kind)} {count:,}" for kind, count in counts.most_common())
        lines = ", ".join(map(str, account.lines[bucket])) if bucket.outcome in _WITH_LINES else ""
        table.add_row(bucket.outcome.value, escape(bucket.reason), f"{counts.total():,}", kinds, lines)
    table.add_section()
    table.add_row("sum", f"of {account.documents:,} documents read", f"{account.accounted:,}")
    console.print(table)
    if not account.balanced:
        console.print(f"[red]The buckets add up to {account.accounted:,} of {account.documents:,} documents: a defect.")
    acts = account.acts()
    console.print(f"Clicks, carts and purchases: {sum(acts.values()):,}")
    for bucket, count in acts.items():
        console.print(f"  {count:,} {bucket.outcome.value}: {escape(bucket.reason)}")
    if others := account.other_types():
        listed = ", ".join(f"{escape(kind)} {count:,}" for kind, count in others.most_common())
        console.print(f"Other event types: {listed}. What the importance policy does not name trains as if shown only.")
    console.print("Sessions: " + ", ".join(f"{count:,} {outcome.value}" for outcome, count in account.sessions.items()))
    for reason, count in account.cut.most_common():
        console.print(f"Left out of searches that were sent: {count:,} times {escape(reason)}.")
    if account.marks:
        console.print(f"Marked irrelevant: {account.marks:,} sessions.")
    if account.stopped:
        console.print(f"[red]Stopped early: {escape(account.stopped)}. Nothing is lost; import the file again.")
    elif not account.usable:
        console.print("[red]No document of this file could be used.")
    elif not account.changed:
        what = "the other documents" if account.unusable else "every document"
        console.print(f"Nothing changed: the server had {what} already.")
