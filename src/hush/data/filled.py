"""The way back: the table as it was, with its missing cells filled."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import numpy as np
from jaxtyping import Float
from torch import Tensor

from hush.data.atomic import atomically
from hush.data.cells import CsvCells, FrameCells, ParquetCells
from hush.data.windows import Windows
from hush.data.words import shown
from hush.errors import UserError

Columns = dict[str, np.ndarray]  # by name, a number for each row of the table


def filled(
    source: Windows,
    answer: Float[Tensor, "channel stamp"],
    out: str | os.PathLike[str] | None = None,
    quantiles: Mapping[float, Float[Tensor, "channel stamp"]] | None = None,
) -> Any:
    """Write the table of `source` with its missing values filled by `answer`, to the file `out`,
    or give it as a DataFrame.

    Columns and rows keep their order. What was observed is not touched: of a CSV file every such
    cell, sign by sign. `answer` is as `source.table.values`, in the table's units; where it is NaN
    the cell stays as it is. `quantiles` adds columns "NAME 0.05", empty where NAME was observed. A
    CSV file gives a CSV file, Parquet a Parquet file (columns of whole numbers become float64 if
    they are filled), pandas a DataFrame.

    Raises:
        UserError: an answer of another shape or not finite, a new column that is there already,
            `out` missing or the source itself, a file that has changed since it was read.
    """
    parts = {"": answer, **{f" {share:g}": part for share, part in (quantiles or {}).items()}}
    _must_fit(source, parts)
    cells = source.table.cells
    columns = _by_row(source, parts)
    if isinstance(cells, FrameCells):
        return _frame(source, cells.frame.copy(), columns)
    if out is None:
        raise UserError(f"filled needs a file to write {cells.name} to; name it in out.")
    path = os.path.expanduser(os.fspath(out))
    if os.path.exists(path) and os.path.samefile(path, cells.file.path):
        raise UserError(f"{shown(path)} is the file that was read; name another, it is kept.")
    write = _csv if isinstance(cells, CsvCells) else _parquet
    atomically(path, lambda temporary: write(source, temporary, columns))
    return None


def _must_fit(source: Windows, parts: Mapping[str, Tensor]) -> None:
    wanted = tuple(source.table.values.shape)
    for suffix, part in parts.items():
        if tuple(part.shape) != wanted:
            raise UserError(
                f"filled got {tuple(part.shape)}; expected {wanted}, (channel, stamp) of the table."
            )
        if part.isinf().any():
            raise UserError(
                "filled got infinite values; expected numbers, NaN where there is none."
            )
        there = [
            name
            for name in source.channels
            if suffix and name + suffix in source.table.cells.columns
        ]
        if there:
            raise UserError(
                f"{source.name} has a column {shown(there[0] + suffix)} already; rename it, or ask "
                "for other quantiles."
            )


def _by_row(source: Windows, parts: Mapping[str, Tensor]) -> Columns:
    """{column name + suffix: (row,)}, NaN where there is nothing to fill in."""
    table = source.table
    rows, known = table.rows.numpy(), ~table.values.isnan().numpy()
    columns = {}
    for k, name in enumerate(table.channels):
        for suffix, part in parts.items():
            column = np.full(len(rows), np.nan, dtype=np.float32)
            column[rows] = np.where(known[k], np.nan, part[k].detach().cpu().numpy())
            columns[name + suffix] = column
    return columns


def _csv(source: Windows, path: str, columns: Columns) -> None:
    """Row by row; whatever is not filled is written as it was read."""
    cells: CsvCells = source.table.cells
    extra = [name for name in columns if name not in cells.columns]
    places = {name: place for place, name in enumerate([*cells.columns, *extra])}
    changes: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for name, column in columns.items():
        for row in np.flatnonzero(~np.isnan(column)).tolist():
            changes[row].append((places[name], str(column[row])))  # the shortest digits that do
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = cells.rows()
        _header(file, next(rows), extra, cells.delimiter)
        for row, (texts, end, before) in enumerate(rows):
            if texts:
                texts += [""] * len(extra)
                for place, text in changes.get(row, ()):
                    texts[place] = text
            file.write(before + cells.delimiter.join(texts) + end)


def _header(file: TextIO, row: tuple[list[str], str, str], extra: list[str], sign: str) -> None:
    texts, end, before = row
    quoted = ['"' + name.replace('"', '""') + '"' for name in extra]
    named = [
        inside if set(name) & {sign, '"', "\n", "\r"} else name
        for name, inside in zip(extra, quoted, strict=True)
    ]
    file.write(before + sign.join([*texts, *named]) + end)


def _frame(source: Windows, frame: Any, columns: Columns) -> Any:
    """A copy of a DataFrame, each column of its own type unless that cannot hold what is filled."""
    names = {str(name): name for name in frame.columns}
    for name, column in columns.items():
        if name not in source.channels:
            frame[name] = column
            continue
        held = frame[names[name]]
        if _fills(column):
            kept = held.astype(np.float64) if held.dtype.kind in "iub" else held
            frame[names[name]] = kept.mask(~np.isnan(column), column.astype(np.float64))
    return frame


def _parquet(source: Windows, path: str, columns: Columns) -> None:
    """Piece by piece, with the columns that nothing is filled in as they are in the file."""
    import pyarrow
    from pyarrow import parquet

    cells: ParquetCells = source.table.cells
    with parquet.ParquetFile(cells.file.whole()) as file:
        schema = file.schema_arrow
        for name in columns:
            if name not in schema.names:
                schema = schema.append(pyarrow.field(name, pyarrow.float32()))
            elif _fills(columns[name]) and not pyarrow.types.is_floating(schema.field(name).type):
                place = schema.get_field_index(name)
                schema = schema.set(place, pyarrow.field(name, pyarrow.float64()))
                schema = schema.remove_metadata()  # where pandas says it is whole numbers
        with parquet.ParquetWriter(path, schema) as writer:
            for batch in _batches(source, file, schema, columns):
                writer.write_batch(batch)


def _batches(source: Windows, file: Any, schema: Any, columns: Columns) -> Iterator[Any]:
    import pyarrow
    from pyarrow import compute

    first = 0
    for batch in file.iter_batches():
        arrays = []
        for field in schema:
            here = columns.get(field.name, np.empty(0))[first : first + len(batch)]
            held = batch.column(field.name) if field.name in batch.schema.names else None
            if held is None:
                held = pyarrow.array(here, field.type, from_pandas=True)
            elif _fills(here):
                new = pyarrow.array(here.astype(np.float64)).cast(field.type)
                chosen = pyarrow.array(~np.isnan(here))
                held = compute.if_else(chosen, new, held.cast(field.type))
            arrays.append(held.cast(field.type))
        yield pyarrow.RecordBatch.from_arrays(arrays, schema=schema)
        first += len(batch)


def _fills(column: np.ndarray) -> bool:
    return bool((~np.isnan(column)).any())
