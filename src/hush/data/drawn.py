"""Windows that were drawn, as a table in long form, written as they come."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from hush.data.atomic import PARQUET, atomically

SAMPLE, TIME, CLASS = "sample", "time", "class"

Drawn = tuple[Float[Tensor, "window channel length"], Sequence[str] | None]


def write_windows(
    path: str | os.PathLike[str], windows: Iterable[Drawn], channels: Sequence[str]
) -> None:
    """Write windows, and the name of the class of each where they have any, to a CSV file, or to
    Parquet by its ending.

    A row is a stamp of a window: "sample", the number of the window; "class"; "time", 0, 1, … in
    steps of the series; a column for each channel. `hush.data.series(path, item="sample")` reads it
    again. A column that a channel has the name of gets a "_" after its own. Nothing is held but the
    windows that are being written. Raises `UserError` for a file that cannot be written.
    """
    path = os.path.expanduser(os.fspath(path))
    write = _parquet if path.lower().endswith(PARQUET) else _csv
    atomically(path, lambda aside: write(aside, _columns(windows, channels)))


def _columns(windows: Iterable[Drawn], channels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The columns of some windows at a time."""
    first = 0
    sample, kind, time = (_free(name, channels) for name in (SAMPLE, CLASS, TIME))
    for values, names in windows:
        count, _, length = values.shape
        columns = {sample: np.repeat(np.arange(first, first + count), length)}
        if names is not None:
            columns[kind] = np.repeat(np.array(names, dtype=object), length)
        columns[time] = np.tile(np.arange(length), count)
        rows = values.transpose(0, 1).flatten(1).numpy()
        yield columns | dict(zip(channels, rows, strict=True))
        first += count


def _free(name: str, taken: Sequence[str]) -> str:
    return _free(name + "_", taken) if name in taken else name


def _csv(path: str, parts: Iterator[dict[str, Any]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        for number, columns in enumerate(parts):
            if number == 0:
                table.writerow(columns)
            # Texts of numpy's own numbers: the shortest digits that do.
            table.writerows(zip(*(column.astype(str) for column in columns.values()), strict=True))


def _parquet(path: str, parts: Iterator[dict[str, Any]]) -> None:
    import pyarrow
    from pyarrow import parquet

    writer = None
    try:
        for columns in parts:
            table = pyarrow.table(columns)
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
