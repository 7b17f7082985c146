"""`embed`: vectors of a whole catalogue."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clickstream.cli.connection import ADDRESS, JSON, calling, end
from clickstream.cli.exit_codes import ExitCode
from clickstream.cli.files import writing

if TYPE_CHECKING:
    from clickstream.cli.vector_files import Partial
    from clickstream.client.admin import AdminClient

FORMATS = (".npy", ".parquet")


@click.command()
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The items: JSON lines, each an object with an id and the fields that the template names.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The vectors: a .npy file, with ids and metadata in files beside it, or one .parquet file.",
)
@click.option("--model-version", default="", help="The model version to use. Default: the one that serves.")
@click.option(
    "--template", help="Makes an item's text from its fields. Default: the template of the version's training."
)
@click.option("--id-field", default="object_id", show_default=True, help="The field with an item's id.")
@JSON
@ADDRESS
def embed(
    file: Path,
    out: Path,
    model_version: str,
    template: str | None,
    id_field: str,
    as_json: bool,
    address: str,
) -> None:
    """Make a vector for every item in a file.

    The vectors appear when they are complete. After a break, even kill -9, the same command goes on with the part that
    is done. Items without text and lines that are not items are left out and counted: exit code 3, or 1 if nothing
    is left.
    """
    import json

    from clickstream.cli.vector_files import Partial, Source, result_files

    if out.suffix not in FORMATS:
        raise click.UsageError(f"--out must end in {' or '.join(FORMATS)}")
    if file.resolve() in {path.resolve() for path in result_files(out)}:
        raise click.UsageError(f"--out {out} would overwrite {file}, the items")
    if out.suffix == ".parquet":
        _check_pyarrow()
    with calling(address) as client, writing(out):
        version = client.model_version(model_version)
        if template is None:
            template = client.training_run(version.run_id).settings.item_template
        _check_template(template)
        partial = Partial(out, Source.of(file, version.model_version_id, template, id_field))
        if partial.rows:
            click.echo(f"going on after {partial.rows:,} vectors that are done already", err=True)
        _complete(client, partial)
        if Source.of(file, version.model_version_id, template, id_field) != partial.source:
            end(f"{file} was changed meanwhile: the same command begins anew", ExitCode.WRONG_USE)
        if partial.rows:
            partial.finish()
        else:
            partial.remove()
    if not partial.rows:
        end(f"{file} has no item to embed: {partial.left_out_in_words()}", ExitCode.FAILED)
    line = f"{partial.rows:,} vectors of {partial.dimensions} dimensions by {version.model_version_id} are in {out}"
    click.echo(json.dumps(partial.metadata(), ensure_ascii=False) if as_json else line)
    if partial.left_out:
        click.echo(f"left out: {partial.left_out_in_words()}", err=True)
        sys.exit(ExitCode.PARTLY_DONE)


def _complete(client: "AdminClient", partial: "Partial") -> None:
    """Embeds the items that the files lack, with a progress bar where there is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from clickstream.cli.embedding import embedded

    columns = TextColumn("embedding"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress, partial:
        bar = progress.add_task("", total=partial.source.bytes, completed=partial.offset)
        for batch in embedded(client, partial.source, partial.offset, partial.line):
            partial.append(batch)
            progress.update(bar, completed=batch.end_offset)


def _check_template(template: str) -> None:
    from clickstream.domain.errors import FailedPrecondition
    from clickstream.domain.item_template import ItemTemplate

    try:
        ItemTemplate(template)
    except FailedPrecondition as error:
        raise click.UsageError(str(error)) from error


def _check_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401 -- whether it is there
    except ImportError as error:
        message = "a .parquet file needs pyarrow: pip install 'clickstream[parquet]'; a .npy file needs nothing"
        raise click.UsageError(message) from error
