"""Items of a file, batch by batch, with their vectors: read in order, several calls at the same time."""

import json
import sys
from array import array
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from clickstream.cli.call_pool import call_pool
from clickstream.cli.vector_files import EmbeddedBatch, Source
from clickstream.domain import limits
from clickstream.domain.item_template import ItemTemplate

if TYPE_CHECKING:
    from clickstream.client.admin import AdminClient

# Batches on their way: the server computes one while the others wait there or travel.
IN_FLIGHT = 4
# Bytes of text in one call, below the server's bound on a request.
_CALL_BYTES = limits.REQUEST_BYTES - 256 * 1024
# Bad lines that are named on stderr; the others are only counted.
_NAMED_LINES = 20


@dataclass(slots=True)
class _Batch:
    """Items that go in one call, and the point in the file behind them."""

    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    bytes: int = 0
    end_offset: int = 0
    end_line: int = 0
    without_text: int = 0
    bad_lines: int = 0


def embedded(client: "AdminClient", source: Source, offset: int, line: int) -> Iterator[EmbeddedBatch]:
    """The batches behind a point of the file, in order. At most `IN_FLIGHT` of them are in memory.

    A batch is a function of the file and its starting point, and the server computes a full batch on its own. So a
    command that goes on behind a batch gets the same vectors as without a break.

    Args:
        client: Makes the vectors.
        source: The file, the model version and the template.
        offset: Where to begin in the file, in bytes.
        line: The number of lines before that.

    Raises:
        grpc.RpcError: A call failed, and retries did not help.
    """

    def call(batch: _Batch) -> EmbeddedBatch:
        answer = client.embed(batch.texts, "item", source.model_version_id) if batch.texts else None
        vectors = [_bytes(embedding.values) for embedding in answer.embeddings] if answer else []
        return EmbeddedBatch(
            ids=batch.ids,
            vectors=b"".join(vectors),
            dimensions=len(vectors[0]) // 4 if vectors else 0,
            end_offset=batch.end_offset,
            end_line=batch.end_line,
            without_text=batch.without_text,
            bad_lines=batch.bad_lines,
        )

    pending: deque[Future[EmbeddedBatch]] = deque()
    with call_pool(IN_FLIGHT) as pool:
        try:
            for batch in _batches(source, offset, line):
                pending.append(pool.submit(call, batch))
                if len(pending) == IN_FLIGHT:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _bytes(values: Any) -> bytes:
    """Numbers as 32-bit floats, little-endian."""
    packed = array("f", values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _batches(source: Source, offset: int, line: int) -> Iterator[_Batch]:
    template, named = ItemTemplate(source.template), 0
    batch = _Batch(end_offset=offset, end_line=line)
    with source.path.open("rb") as file:
        file.seek(offset)
        for raw in file:
            number, end_offset = batch.end_line + 1, batch.end_offset + len(raw)
            try:
                item = _item(raw, source.id_field, template) if raw.strip() else None
            except ValueError as error:
                batch.bad_lines += 1
                named += 1
                if named <= _NAMED_LINES:
                    click.echo(f"line {number:,} is left out: {error}", err=True)
                item = None
            if item is not None and not item[1]:
                batch.without_text += 1
                item = None
            size = len(item[1].encode()) if item else 0
            if len(batch.ids) == limits.EMBED_TEXTS or batch.bytes + size > _CALL_BYTES:
                yield batch
                batch = _Batch()
            if item:
                batch.ids.append(item[0])
                batch.texts.append(item[1])
                batch.bytes += size
            batch.end_offset, batch.end_line = end_offset, number
    yield batch


def _item(raw: bytes, id_field: str, template: ItemTemplate) -> tuple[str, str]:
    """Id and text of a line. Raises ValueError, in words, if it is not an item."""
    try:
        fields = json.loads(raw)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError("is not a JSON object")
    named = fields.get(id_field)
    if isinstance(named, bool) or not isinstance(named, str | int) or named == "":
        raise ValueError(f"has no id in {id_field!r}: a text or a whole number")
    text = template.render(fields)[: limits.EMBED_TEXT_CHARACTERS]
    try:
        f"{named}{text}".encode()
    except UnicodeEncodeError as error:
        raise ValueError("has half of a surrogate pair") from error
    return str(named), text
