"""Frames as bytes: Arrow IPC, compressed."""

import io
from collections.abc import Collection

import polars as pl


def pack(frame: pl.DataFrame) -> bytes:
    """The bytes of a frame."""
    out = io.BytesIO()
    frame.write_ipc(out, compression="lz4")
    return out.getvalue()


def unpack(data: bytes, wanted: Collection[str] | None = None) -> pl.DataFrame:
    """The frame in these bytes.

    Args:
        data: What `pack` made.
        wanted: The columns to read, by name or, with `*` at the end, by their beginning; those that the frame does
            not have are left out. None: all.
    """
    if wanted is None:
        return pl.read_ipc(io.BytesIO(data))
    beginnings = tuple(each[:-1] for each in wanted if each.endswith("*"))
    names = [
        name
        for name in pl.read_ipc_schema(io.BytesIO(data))
        if name in wanted or (beginnings and name.startswith(beginnings))
    ]
    return pl.read_ipc(io.BytesIO(data), columns=names)
