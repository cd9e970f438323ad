"""The cells of a table, chunk by chunk: a CSV file, Parquet files, or what pandas holds."""

import io
import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from hush.data.shelf import LocalFile
from hush.data.words import cause, shown
from hush.errors import UserError

ROWS = 1 << 16  # of a chunk
ENDING = ".csv"


class Cells(ABC):
    """A table that is read as often as one likes, and never changed."""

    name: str
    """What to call it in a message."""
    columns: tuple[str, ...]
    first: int = 0
    """The number of the first row, as whoever opens the table sees it."""

    @abstractmethod
    def chunks(self) -> Iterator[dict[str, Any]]:
        """Some rows at a time: for each column the texts of its cells, or a column of pandas."""


class CsvCells(Cells):
    """A CSV file with a header; lines before it that begin with # are comments.

    Raises `UserError` for a file that cannot be read, is no UTF-8, has no header, a column twice,
    or a row of another length.
    """

    def __init__(self, path: str, delimiter: str = ",") -> None:
        self.file, self.delimiter = LocalFile(path), delimiter
        self.name = self.file.name
        sign = re.escape(delimiter)
        self._cell = re.compile(f'{sign}((?:"[^"]*"|[^"{sign}])*)')
        header = next(self.rows(), None)
        if header is None:
            raise UserError(f"{self.name} is empty; expected a header and rows below it.")
        self.first = 2 + header[2].count("\n")
        self.columns = tuple(_plain(cell.removeprefix("\ufeff")).strip() for cell in header[0])
        twice = [name for name, count in Counter(self.columns).items() if count > 1]
        if twice:
            raise UserError(
                f"{self.name} has more than one column {shown(twice[0])!r}; rename one."
            )

    def rows(self) -> Iterator[tuple[list[str], str, str]]:
        """(cells as they are written, the line's end, comments and blank lines before it) of the
        header and of each row; at the end, if anything is left over, without cells."""
        before, wide = "", None
        for number, line in enumerate(self._lines(), 1):
            body = line.rstrip("\r\n")
            if not body.strip() or (wide is None and body.lstrip("\ufeff").startswith("#")):
                before += line
                continue
            cells = self._split(body)
            wide = wide or len(cells)
            if len(cells) != wide:
                raise UserError(
                    f"Line {number} of {self.name} has another number of cells ({len(cells)}) than "
                    f"its header ({wide}); mend it, or name the sign between cells in delimiter."
                )
            yield cells, line[len(body) :], before
            before = ""
        if before and wide:
            yield [], "", before

    def chunks(self) -> Iterator[dict[str, Any]]:
        rows = islice(self.rows(), 1, None)
        while part := [row[0] for row in islice(rows, ROWS) if row[0]]:
            columns = zip(*part, strict=True)
            yield {
                name: [_plain(cell) for cell in cells] if '"' in "".join(cells) else cells
                for name, cells in zip(self.columns, columns, strict=True)
            }

    def _split(self, body: str) -> list[str]:
        if '"' not in body:
            return body.split(self.delimiter)
        return self._cell.findall(self.delimiter + body)

    def _lines(self) -> Iterator[str]:
        """The lines with their ends; one that breaks within quotes goes on in the next."""
        try:
            with self.file.whole() as raw, io.TextIOWrapper(raw, "utf-8", newline="") as text:
                parts, quotes = [], 0
                for line in text:
                    parts.append(line)
                    quotes += line.count('"')
                    if quotes % 2 == 0:
                        yield "".join(parts)
                        parts = []
                if parts:
                    raise UserError(f"{self.name} ends within quotes; mend its last rows.")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{self.name} cannot be read as CSV in UTF-8: {cause(error)}; save it so."
            ) from error


class FrameCells(Cells):
    """A DataFrame or Series of pandas; an index that has a name or holds dates is a column too."""

    def __init__(self, frame: Any) -> None:
        import pandas

        if isinstance(frame, pandas.Series):
            frame, meant = frame.to_frame("value" if frame.name is None else frame.name), True
        else:
            dates = isinstance(frame.index, pandas.DatetimeIndex | pandas.PeriodIndex)
            meant = dates or frame.index.name is not None
        self.name, self.frame, self.index = "the table", frame, None
        if frame.columns.has_duplicates or frame.index.nlevels > 1:
            raise UserError(
                "The table has an index of several levels, or a column twice; expected one name "
                "for each column: call reset_index, rename one."
            )
        names = [str(name) for name in frame.columns]
        if meant:
            self.index = str(frame.index.name or "time")
            if self.index in names:
                self.index = None
        self.columns = tuple([self.index, *names] if self.index else names)

    def chunks(self) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self.frame), ROWS):
            part = self.frame.iloc[start : start + ROWS]
            found = {str(name): part[name] for name in part.columns}
            if self.index:
                found[self.index] = part.index.to_series()
            yield found


class ParquetCells(Cells):
    """A Parquet file."""

    def __init__(self, path: str) -> None:
        self.file = LocalFile(path)
        self.name = self.file.name
        with self._opened() as file:
            self.columns = tuple(file.schema_arrow.names)

    def chunks(self) -> Iterator[dict[str, Any]]:
        with self._opened() as file:
            for part in file.iter_batches(ROWS):
                frame = part.to_pandas(ignore_metadata=True)  # an index is a column here
                yield {name: frame[name] for name in self.columns}

    def _opened(self) -> Any:
        from pyarrow import parquet

        try:
            return parquet.ParquetFile(self.file.whole())
        except Exception as error:  # pyarrow has its own
            raise UserError(
                f"{self.name} cannot be read as Parquet: {cause(error)}; check that it is whole."
            ) from error


def cells(source: Any, delimiter: str = ",") -> Cells:
    """The cells of a CSV or Parquet file, named by its path, or of a DataFrame or Series."""
    if type(source).__module__.split(".")[0] == "pandas":
        return FrameCells(source)
    if not isinstance(source, str | os.PathLike):
        raise UserError(
            f"series got a {type(source).__name__}; expected the path of a CSV or Parquet file, or "
            "a DataFrame or Series of pandas."
        )
    path = os.path.expanduser(os.fspath(source))
    return ParquetCells(path) if path.endswith(".parquet") else CsvCells(path, delimiter)


def _plain(cell: str) -> str:
    """What a cell says, without the quotes it is written in."""
    quoted = cell.startswith('"') and cell.endswith('"') and len(cell) > 1
    return cell[1:-1].replace('""', '"') if quoted else cell
