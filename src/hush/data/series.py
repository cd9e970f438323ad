"""Time series: windows of a table's columns, or of series that come with other packages."""

import os
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from hush.data.cells import Cells, cells
from hush.data.known_series import KNOWN
from hush.data.series_options import SeriesOptions
from hush.data.timetable import timetable
from hush.data.windows import Windows
from hush.errors import UserError, nearest

OPTIONS = tuple(field.name for field in fields(SeriesOptions))


def series(source: Any, **options: Any) -> Windows:
    """The windows of a table of numbers over time.

    `source` is the path of a CSV or Parquet file, a DataFrame or Series of pandas, or the name of
    one that is built in: co2, elnino, sunspots, macrodata, stocks. In wide form the table has a
    column of time stamps and one for each channel of one series; in long form (`item`) series
    stand one below the other. Stamps are dates or numbers, evenly spaced or not. `options` are the
    fields of `SeriesOptions`. The table is read once, and never changed.

    Raises `UserError` naming what is wrong, and where, in a table that cannot be understood.
    """
    for key in options.keys() - set(OPTIONS):
        raise UserError(f"{key}: no such option of series; {nearest(key, OPTIONS)}")
    chosen = SeriesOptions(**options)
    windows = Windows(timetable(table(source, chosen), chosen), chosen)
    windows.asked = options
    return windows


def table(source: Any, options: SeriesOptions) -> Cells:
    """The cells of a source of `series`."""
    known = _known(source)
    found = cells(source if known is None else known(), options.delimiter)
    if known is not None:
        found.name = source
    return found


def _known(source: Any) -> Callable[[], Any] | None:
    """What makes the table of a built-in name; a file of that name goes before."""
    if not isinstance(source, str) or os.path.exists(source):
        return None
    return KNOWN.get(source)
