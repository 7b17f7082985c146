"""The account of an import, in the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clickstream.ubi.account import DocumentOutcome, ImportAccount

# Outcomes whose line numbers help to find the document.
_WITH_LINES = {DocumentOutcome.CONFLICT, DocumentOutcome.REJECTED, DocumentOutcome.UNACKNOWLEDGED}


def show_account(account: ImportAccount, console: Console) -> None:
    """Prints the account: every bucket with its kinds and the first lines of what was not sent."""
    table = Table(title="What became of each document", title_justify="left")
    table.add_column("outcome")
    table.add_column("reason", overflow="fold")
    table.add_column("documents", justify="right")
    table.add_column("of which", overflow="fold")
    table.add_column("first lines", overflow="fold")
    for bucket in sorted(
        account.counts, key=lambda bucket: (list(DocumentOutcome).index(bucket.outcome), bucket.reason)
    ):
        counts = account.counts[bucket]
        kinds = ", ".join(f"{escape(kind)} {count:,}" for kind, count in counts.most_common())
        lines = ", ".join(map(str, account.lines[bucket])) if bucket.outcome in _WITH_LINES else ""
        table.add_row(bucket.outcome.value, escape(bucket.reason), f"{counts.total():,}", kinds, lines)
    table.add_section()
    table.add_row("sum", f"of {account.documents:,} documents read", f"{account.accounted:,}")
    console.print(table)
    if not account.balanced:
        console.print(f"[red]The buckets hold {account.accounted:,} of {account.documents:,} documents: a defect.")
    acts = account.acts()
    console.print(f"Clicks, carts and purchases: {sum(acts.values()):,}")
    for bucket, count in acts.items():
        console.print(f"  {count:,} {bucket.outcome.value}: {escape(bucket.reason)}")
    console.print("Sessions: " + ", ".join(f"{count:,} {outcome.value}" for outcome, count in account.sessions.items()))
    if account.stopped:
        console.print(f"[red]Stopped early: {escape(account.stopped)}. Nothing is lost; import the file again.")
    elif not account.changed:
        console.print("Nothing changed: the server had all of it already.")
