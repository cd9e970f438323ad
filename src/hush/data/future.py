"""What lies ahead of a table: more stamps after each series, of which nothing is known yet."""

from itertools import pairwise
from typing import Any

from hush.data.clock import frequency, stamps_of
from hush.data.roles import roles
from hush.data.series import series
from hush.data.windows import Windows
from hush.data.words import shown
from hush.errors import UserError


def extended(source: Windows, horizon: int) -> Windows:
    """The table of `source`, from pandas, with `horizon` more rows after each series.

    Their stamps go on as the series' own do: by what pandas calls their frequency, which knows of
    working days; else by months where all are of one day of their month, or by the median
    distance. Their values are missing, their calendar is derived as before. Raises `UserError` for
    covariates from columns, which nobody knows ahead, and for a series of one stamp.
    """
    import pandas

    table, columns = source.table, roles(source.table.cells, source.options)
    if columns.covariates:
        raise UserError(
            f"{source.name}: what lies ahead of {', '.join(map(shown, columns.covariates))} is not "
            "known: add rows with the stamps to come and these columns, leave the others blank, "
            "and use hush impute."
        )
    stamps = stamps_of(source)
    parts = []
    for item, (start, end) in enumerate(pairwise(table.bounds)):
        values = table.values[:, start:end].numpy().T
        frame = pandas.DataFrame(dict(zip(table.channels, values.T, strict=True)))
        known = stamps[start:end].reset_index(drop=True)
        frame.insert(0, columns.time, known)
        ahead = pandas.DataFrame({columns.time: _ahead(known, horizon, source.name)})
        whole = pandas.concat([frame, ahead], ignore_index=True)
        if columns.item:
            whole.insert(1, columns.item, table.items[item])
        for name, fact in zip(columns.static, table.static[item].tolist(), strict=True):
            whole[name] = fact
        parts.append(whole)
    read = {"time": columns.time, "values": table.channels, "time_format": None, "missing": ()}
    longer = series(pandas.concat(parts, ignore_index=True), **{**vars(source.options), **read})
    longer.name = source.name
    return longer


def _ahead(stamps: Any, horizon: int, name: str) -> Any:
    """The stamps after those of one series."""
    import pandas

    if len(stamps) < 2:
        raise UserError(
            f"{name}: a series of one stamp does not say how far apart its stamps are; expected 2."
        )
    last, steps = stamps.iloc[-1], range(1, horizon + 1)
    if often := frequency(stamps):
        return list(pandas.date_range(last, periods=horizon + 1, freq=often)[1:])
    if pandas.api.types.is_datetime64_any_dtype(stamps.dtype):
        ends = bool(stamps.dt.is_month_end.all())
        same_day = ends or (stamps.dt.day.nunique() == 1 and last.day <= 28)
        months = int((12 * stamps.dt.year + stamps.dt.month).diff().median())
        if same_day and months:
            dates = [last + pandas.DateOffset(months=k * months) for k in steps]
            return [date + pandas.offsets.MonthEnd(0) for date in dates] if ends else dates
    step = stamps.diff().median()
    return [last + k * step for k in steps]
