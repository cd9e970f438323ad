"""The stamps of a source as pandas has them: how often they come, and after how many a season."""

import warnings
from typing import Any

import numpy as np

from hush.data.roles import roles
from hush.data.stamps import StampReader
from hush.data.windows import Windows

SEASONS = {"h": 24, "D": 7, "B": 5, "W": 52, "MS": 12, "ME": 12, "QS": 4, "QE": 4}


def stamps_of(source: Windows) -> Any:
    """The stamps as a column of pandas, in the order of the table: numbers, or dates as on the
    wall, moments of UTC where they have offsets."""
    import pandas

    cells = source.table.cells
    column = roles(cells, source.options).time
    reader = StampReader(cells.name, column, source.options.time_format)
    row, moments = cells.first, []
    for chunk in cells.chunks():
        moment, _ = reader.read(chunk[column], row)
        moments.append(moment)
        row += len(moment)
    moment = np.concatenate(moments)[source.table.rows.numpy()]
    if reader.numeric:
        return pandas.Series(moment)
    dates = np.round(moment * 1e6).astype("datetime64[us]")
    return pandas.Series(dates).dt.tz_localize("UTC" if reader.aware else None)


def frequency(stamps: Any) -> str | None:
    """How often the dates of one series come, in pandas' words ("h", "D", "MS", …); None where
    they are uneven, fewer than 3, or numbers."""
    import pandas
    from pandas.tseries.frequencies import to_offset

    if len(stamps) < 3 or not pandas.api.types.is_datetime64_any_dtype(stamps.dtype):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an answer in another form to come, which will do too
        found = pandas.infer_freq(pandas.DatetimeIndex(stamps))
    return None if found is None else to_offset(found).freqstr


def season(source: Windows) -> int | None:
    """After how many stamps a series comes to the same place of its season: the hour of the day,
    the day of the week, the week, month or quarter of the year. None where stamps do not say."""
    from pandas.tseries.frequencies import to_offset

    start, end = source.table.bounds[:2]
    often = frequency(stamps_of(source).iloc[start:end])
    if often is None:
        return None
    step = to_offset(often)
    whole = SEASONS.get(step.rule_code.split("-")[0], 0)
    return whole // step.n if whole > step.n and whole % step.n == 0 else None
