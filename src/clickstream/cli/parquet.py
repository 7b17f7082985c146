"""Vectors as a Parquet file. Needs pyarrow, the extra `parquet`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet


def write_parquet(
    path: Path, groups: Iterable[tuple[list[str], bytes]], dimensions: int, metadata: Mapping[str, Any]
) -> None:
    """Writes a file with the columns `object_id` (text) and `vector` (a list of `dimensions` 32-bit floats).

    Args:
        path: The file, replaced if it exists.
        groups: Row groups in order: ids, and their vectors as 32-bit floats, little-endian. One is in memory at a time.
        dimensions: Length of a vector.
        metadata: Goes into the file's metadata, each value as text under its name.
    """
    vector = pyarrow.list_(pyarrow.float32(), dimensions)
    schema = pyarrow.schema(
        [("object_id", pyarrow.string()), ("vector", vector)],
        metadata={name: str(value) for name, value in metadata.items()},
    )
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for ids, vectors in groups:
            values = pyarrow.Array.from_buffers(
                pyarrow.float32(), len(ids) * dimensions, [None, pyarrow.py_buffer(vectors)]
            )
            rows = pyarrow.FixedSizeListArray.from_arrays(values, dimensions)
            table = pyarrow.Table.from_arrays([pyarrow.array(ids, pyarrow.string()), rows], schema=schema)
            writer.write_table(table, row_group_size=len(ids))
