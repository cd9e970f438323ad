"""Which column of a table is what: time, item, values, covariates, static."""

from dataclasses import dataclass

from hush.data.cells import Cells
from hush.data.series_options import SeriesOptions
from hush.data.words import shown
from hush.errors import UserError, nearest

TIMES = ("time", "date", "datetime", "timestamp", "ds")
_INDEX = "__index_level_0__"  # what pandas calls an index without a name in Parquet


@dataclass(frozen=True)
class Roles:
    """The names of the columns by what they are."""

    time: str
    item: str | None
    values: tuple[str, ...]
    covariates: tuple[str, ...]
    static: tuple[str, ...]


def roles(cells: Cells, options: SeriesOptions) -> Roles:
    """The columns of a table as the options say, the rest being values.

    Raises `UserError` for a column that is not there, is named for two things, or where no time
    or no value is left.
    """
    time = options.time or _time(cells)
    fixed = [time, *filter(None, [options.item]), *options.covariates, *options.static]
    values = tuple(options.values) or tuple(c for c in cells.columns if c not in fixed)
    if not values:
        raise UserError(
            f"{cells.name} has no column left to learn beside {', '.join(map(shown, fixed))}; "
            "name one in values."
        )
    named = [*fixed, *values]
    for name in named:
        if name not in cells.columns:
            hint = nearest(shown(name), map(shown, cells.columns))
            raise UserError(f"{cells.name} has no column {shown(name)}; {hint}")
        if named.count(name) > 1:
            raise UserError(f"Column {shown(name)} of {cells.name} is named twice; name it once.")
    return Roles(time, options.item, values, tuple(options.covariates), tuple(options.static))


def _time(cells: Cells) -> str:
    found = [name for name in cells.columns if name.lower() in (*TIMES, _INDEX)]
    if found:
        return found[0]
    listed = ", ".join(map(shown, cells.columns))
    raise UserError(
        f"{cells.name} has no column called {', '.join(TIMES[:-1])} or {TIMES[-1]}, only {listed}; "
        "name the one of the time stamps in time, and the sign between cells in delimiter."
    )
