"""Cells of a table to numbers, NaN where there is none."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.data.words import shown
from hush.errors import UserError

_LARGEST = float(np.finfo(np.float32).max)
_BLANK = frozenset({"", "nan", "na", "n/a", "null", "none", "<na>"})


class Numbers:
    """What a cell of a table says: a number, or that there is none.

    Blank cells, NaN, NA, N/A, null and None are missing, and so is whatever `missing` names, as
    text or as a number ("-99.90" is -99.9). Raises `UserError` naming the row and column of text
    and of infinite values.
    """

    def __init__(self, table: str, missing: Sequence[float | int | str]) -> None:
        self.table = table
        self._words = _BLANK | {str(word).strip().lower() for word in missing}
        numbers = [_parsed(str(word)) for word in missing]
        self._sentinels = [number for number in numbers if number is not None]

    def read(self, cells: Any, column: str, first: int) -> np.ndarray:
        """The numbers (row,) float64 in the cells of a column; its rows count from `first` on."""
        if hasattr(cells, "dtype"):
            values = self._typed(cells, column, first)
        else:
            values = self._text(cells, column, first)
        for sentinel in self._sentinels:
            values[values == sentinel] = np.nan
        beyond = np.flatnonzero(np.abs(values) > _LARGEST)
        if len(beyond):
            raise UserError(
                f"Row {first + int(beyond[0])} of {self.table} has {values[beyond[0]]:g} in column "
                f"{shown(column)}; expected a finite number, or a blank cell where there is none."
            )
        return values

    def _text(self, cells: Sequence[str], column: str, first: int) -> np.ndarray:
        try:  # many cells, nearly all of them plain
            if "_" not in "".join(cells):
                return np.array([float(cell) if cell else np.nan for cell in cells])
        except ValueError:
            pass
        values = np.empty(len(cells))
        for i, cell in enumerate(cells):
            number = _parsed(cell)
            if number is None:
                if cell.strip().lower() not in self._words:
                    raise UserError(
                        f"Row {first + i} of {self.table} has {shown(cell.strip())[:40]!r} in "
                        f"column {shown(column)}; expected a number. Mend the cell, name it in "
                        "missing, or name the columns of numbers in values."
                    )
                number = np.nan
            values[i] = number
        return values

    def _typed(self, cells: Any, column: str, first: int) -> np.ndarray:
        """Of a column of pandas."""
        import pandas

        if pandas.api.types.is_datetime64_any_dtype(cells.dtype):
            raise UserError(
                f"Column {shown(column)} of {self.table} holds dates; expected numbers. Name the "
                "time column in time, and the columns of numbers in values."
            )
        if pandas.api.types.is_numeric_dtype(cells.dtype):
            return cells.to_numpy(np.float64, na_value=np.nan, copy=True)
        return self._text(["" if pandas.isna(cell) else str(cell) for cell in cells], column, first)


def _parsed(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None
