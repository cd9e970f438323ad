"""What is in a table of series: one pass over its cells that notes what reading would refuse."""

from typing import Any, NamedTuple

import numpy as np

from hush.data.cells import Cells
from hush.data.inspected.findings import Fact, Finding, Inspected, counted, some
from hush.data.inspected.regular import period, spacing
from hush.data.numbers import Numbers
from hush.data.roles import Roles, roles
from hush.data.series import table
from hush.data.series_options import SeriesOptions
from hush.data.stamps import StampReader, elapsed
from hush.data.words import shown
from hush.errors import UserError

SPARSE = 0.5  # share of a column that misses before that is told
FAR = 20.0  # deviations (of the middle half) from the median at which a value that returns is odd
SHORT = 200  # stamps
SOME = 6  # channels whose range is told


class Table(NamedTuple):
    """All that a table holds, each series in the order of its stamps."""

    cells: Cells
    columns: Roles
    values: np.ndarray
    """(column, row), NaN where missing."""
    strange: dict[str, str]
    """Columns that are no numbers, and the first reason."""
    moment: np.ndarray
    steps: np.ndarray
    codes: np.ndarray
    """Which series a row belongs to."""
    items: tuple[str, ...]
    rows: np.ndarray
    """The number of each row, as whoever opens the table sees it."""
    dates: bool

    @property
    def bounds(self) -> list[int]:
        """Where each series begins and the last one ends."""
        return [0, *np.cumsum(np.bincount(self.codes, minlength=len(self.items))).tolist()]

    def known(self) -> tuple[str, ...]:
        """The columns that have a value."""
        empty = np.isnan(self.values).all(1)
        named = zip(self.columns.values, empty, strict=True)
        return tuple(name for name, none in named if not none and name not in self.strange)


def inspected_series(source: Any, options: SeriesOptions) -> tuple[Inspected, Table]:
    """What a table of series is and what is wrong with it, and the table as it was read.

    Unlike `hush.data.series`, which stops at the first thing it cannot understand, this notes text
    among numbers, columns without a value and stamps that come twice, and reads on. Raises
    `UserError` for a file that is no table, and for stamps that cannot be read.
    """
    read = _read(table(source, options), options)
    return Inspected(read.cells.name, _facts(read), _findings(read)), read


def _read(cells: Cells, options: SeriesOptions) -> Table:
    columns = roles(cells, options)
    stamps = StampReader(cells.name, columns.time, options.time_format)
    reader, row = Numbers(cells.name, options.missing), cells.first
    strange: dict[str, str] = {}
    moments, walls, codes, values, known = [], [], [], [], {}
    for chunk in cells.chunks():
        moment, wall = stamps.read(chunk[columns.time], row)
        named = [""] * len(moment) if columns.item is None else list(chunk[columns.item])
        codes.append([known.setdefault(str(name), len(known)) for name in named])
        moments.append(moment)
        walls.append(wall)
        held = [_numbers(reader, chunk[name], name, row, strange) for name in columns.values]
        values.append(np.stack(held))
        row += len(moment)
    if not moments:
        raise UserError(f"{cells.name} has no rows; expected stamps with values.")
    moment, wall, code = (np.concatenate(part) for part in (moments, walls, codes))
    order = np.lexsort((moment, code))
    bounds = [0, *np.cumsum(np.bincount(code, minlength=len(known))).tolist()]
    moment, wall = moment[order], wall[order]
    steps = elapsed(moment, None if stamps.numeric else wall, bounds)
    return Table(
        cells,
        columns,
        np.concatenate(values, axis=1)[:, order],
        strange,
        moment,
        steps,
        code[order],
        tuple(map(shown, known)),
        order + cells.first,
        not stamps.numeric,
    )


def _numbers(
    reader: Numbers, cells: Any, name: str, row: int, strange: dict[str, str]
) -> np.ndarray:
    """The numbers of a column; none where it holds what is no number, which is noted."""
    try:
        return reader.read(cells, name, row).astype(np.float32)
    except UserError as error:
        strange.setdefault(name, str(error).split(";")[0])
        return np.full(len(cells), np.nan, dtype=np.float32)


def _facts(table: Table) -> tuple[Fact, ...]:
    lengths = np.diff(table.bounds)
    count, channels = len(table.items), len(table.known())
    each = f"{lengths[0]:,} stamps"
    if count > 1:
        each = f"{lengths.min():,} to {lengths.max():,} stamps"
    facts = [Fact("series", f"{count:,} of {counted(channels, 'channel')}, {each}")]
    if table.dates:
        ends = table.moment.min(), table.moment.max()
        first, last = (np.datetime64(int(end), "s").astype("datetime64[D]") for end in ends)
        facts.append(Fact("from, to", f"{first} to {last}"))
    facts.append(Fact("spacing", spacing(table.moment, table.steps, table.bounds, table.dates)))
    good = [table.columns.values.index(name) for name in table.known()]
    if good:
        missing = np.isnan(table.values[good])
        share = missing.mean()
        facts.append(Fact("missing", f"{100 * share:.2g} % of values" if share else "nothing"))
        beat = period(table.values[good], table.bounds)
        facts.append(Fact("season", f"{beat} stamps" if beat else "none that stands out"))
    for place in good[:SOME]:
        facts.append(Fact(*_column(table.columns.values[place], table.values[place])))
    if len(good) > SOME:
        facts.append(Fact("…", f"{counted(len(good) - SOME, 'channel')} more"))
    return tuple(facts)


def _column(name: str, row: np.ndarray) -> tuple[str, str]:
    known = row[~np.isnan(row)]
    gone = 1 - len(known) / len(row)
    missing = f", {100 * gone:.2g} % missing" if gone else ""
    return shown(name), f"{known.min():.4g} to {known.max():.4g}, mean {known.mean():.4g}{missing}"


def _findings(table: Table) -> tuple[Finding, ...]:
    found = [*_columns(table), *_stamps(table)]
    longest = int(np.diff(table.bounds).max())
    if longest < SHORT:
        what = f"{counted(longest, 'stamp')} in the longest series: a model learns so few by heart"
        found.append(Finding("warning", what, (), "add more of them, or other series beside it"))
    return tuple(sorted(found, key=lambda one: ("error", "warning", "note").index(one.severity)))


def _columns(table: Table) -> list[Finding]:
    """What is wrong with columns: text, nothing, one value, little, twice, odd values."""
    found, names = [], table.columns.values
    good = dict(zip(names, table.values, strict=True))
    for name, why in table.strange.items():
        say = f"column {shown(name)} is no column of numbers"
        do = "mend it, or name what means a missing value with --missing; left out until then"
        found.append(Finding("error", say, (why,), do))
        good.pop(name)
    empty = [name for name, row in good.items() if np.isnan(row).all()]
    for name in empty:
        good.pop(name)
    if empty:
        what = f"{counted(len(empty), 'column')} without any value"
        do = "left out: --values names the others"
        found.append(Finding("error", what, some(list(map(shown, empty))), do))
    for name, row in good.items():
        known = row[~np.isnan(row)]
        if len(known) > 1 and known.min() == known.max():
            what = f"column {shown(name)} is {known[0]:g} throughout"
            found.append(Finding("warning", what, (), "leave it out with --values"))
        gone = 1 - len(known) / len(row)
        if gone > SPARSE:
            what = f"column {shown(name)} misses {100 * gone:.0f} % of its values"
            found.append(Finding("warning", what, (), "leave it out, or expect wide answers"))
        odd = _odd(known)
        if odd is not None:
            what = f"column {shown(name)} has {odd:g} again and again, far from all else"
            do = f"if it means that a value is missing, pass --missing {odd:g}"
            found.append(Finding("warning", what, (), do))
    found += _equal(good)
    return found


def _odd(known: np.ndarray) -> float | None:
    """The least or largest value where it comes more than once and lies far from the others, as
    -999 does where it stands for nothing."""
    if len(known) < 8:
        return None
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    for value in (known.min(), known.max()):
        alone = known[known != value]
        far = abs(value - middle) > FAR * max(high - low, 1e-12)
        apart = len(alone) and np.abs(alone - value).min() > 0.5 * abs(value - middle)
        if np.sum(known == value) > 1 and far and apart:
            return float(value)
    return None


def _equal(good: dict[str, np.ndarray]) -> list[Finding]:
    """Columns that are the same."""
    first: dict[bytes, str] = {}
    twice = []
    for name, row in good.items():
        before = first.setdefault(row.tobytes(), name)
        if before != name:
            twice.append(f"{shown(before)} = {shown(name)}")
    if not twice:
        return []
    what = f"{counted(len(twice), 'column')} the same as another"
    return [Finding("warning", what, some(twice), "leave one of each out with --values")]


def _stamps(table: Table) -> list[Finding]:
    """What is wrong with stamps: twice, out of order, and with holes between them."""
    found = []
    inner = np.diff(table.codes) == 0
    twice = np.flatnonzero(inner & (np.diff(table.moment) == 0)).tolist()
    if twice:
        pairs = [sorted((int(table.rows[i]), int(table.rows[i + 1]))) for i in twice]
        what = f"{counted(len(twice), 'stamp')} twice"
        named = zip(pairs, twice, strict=True)
        where = some([f"rows {a} and {b}{_of(table, i)}" for (a, b), i in named])
        do = "remove one of each or, of many series, name their column with --item"
        found.append(Finding("error", what, where, do))
    breaks = int(np.sum((np.diff(table.rows) < 0) & inner))
    if breaks:
        what = f"rows are not in the order of time ({counted(breaks, 'break')})"
        found.append(Finding("note", what, (), "they are sorted as they are read"))
    apart = np.where(inner, np.diff(table.steps), 0.0)
    holes = np.flatnonzero(apart > 1.5)
    if len(holes) and len(holes) < 0.1 * len(apart):  # of many, they are the spacing itself
        holes = holes[np.argsort(-apart[holes], kind="stable")].tolist()
        what = f"{counted(len(holes), 'hole')} between stamps"
        said = [f"{apart[i]:.3g} steps before row {table.rows[i + 1]}" for i in holes]
        where = some([f"{hole}{_of(table, i)}" for hole, i in zip(said, holes, strict=True)])
        do = "rows with empty cells there say what is missing, and hush impute fills it"
        found.append(Finding("warning", what, where, do))
    return found


def _of(table: Table, place: int) -> str:
    """Whose stamp it is, where there are many series."""
    return f" of {table.items[table.codes[place]]}" if len(table.items) > 1 else ""
