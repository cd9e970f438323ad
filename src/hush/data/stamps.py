"""Time stamps: when a value was taken, how many steps after the first, and at what hour."""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np

from hush.data.words import shown
from hush.errors import UserError

CALENDAR = ("hour", "weekday", "yearday", "month", "position")
_EPOCH = datetime(1970, 1, 1)
_MONTH = re.compile(r"\d{4}-\d{2}")
_PLAIN = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?")
_QUARTER = re.compile(r"(\d{4})-?[qQ]([1-4])")
_DAY = 86400.0  # seconds


class StampReader:
    """Reads the time column of one table: numbers, or dates, whichever its first stamp is.

    A date has a moment, by which stamps are ordered and their distance is measured, and a time on
    the wall, from which the calendar is read; both in seconds since 1970. Without a UTC offset the
    two are the same. A number has a moment alone.
    """

    def __init__(self, table: str, column: str, form: str | None) -> None:
        self.place, self.form = f"column {shown(column)} of {table}", form
        self.numeric: bool | None = None
        self.aware: bool | None = None
        self.offsets: set[float] = set()

    def read(self, cells: Any, first: int) -> tuple[np.ndarray, np.ndarray]:
        """(moment, wall) of the stamps in the rows from number `first` on."""
        if hasattr(cells, "dtype"):
            return self._typed(cells, first)
        dates = not (self.form or self.numeric or self.aware)
        if dates and all(map(_PLAIN.fullmatch, cells)):  # many at once
            with suppress(ValueError):  # no such day: told of below
                moment = _seconds(np.array(cells, dtype="datetime64[us]"))
                self.numeric = self.aware = False
                return moment, moment
        pairs = np.array([self._text(cell, first + i) for i, cell in enumerate(cells)])
        moment, wall = pairs.reshape(-1, 2).T
        if self.aware:
            self.offsets.update(np.unique(wall - moment).tolist())
        return moment, wall

    def _typed(self, cells: Any, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Of a column of pandas."""
        import pandas

        if isinstance(cells.dtype, pandas.PeriodDtype):
            cells = cells.dt.to_timestamp()
        missing = np.flatnonzero(cells.isna().to_numpy())
        if len(missing):
            raise UserError(f"Row {first + int(missing[0])} has no stamp in {self.place}.")
        if pandas.api.types.is_bool_dtype(cells.dtype):
            raise UserError(f"{self.place} holds true and false; expected dates or numbers.")
        if pandas.api.types.is_numeric_dtype(cells.dtype) and not self.form:
            self.numeric, moment = True, cells.to_numpy(np.float64)
            beyond = np.flatnonzero(~np.isfinite(moment))
            if len(beyond):
                raise UserError(f"Row {first + int(beyond[0])} is infinite in {self.place}.")
            return moment, moment
        if not pandas.api.types.is_datetime64_any_dtype(cells.dtype):
            return self.read([str(cell) for cell in cells], first)
        self.numeric = False
        moment = wall = cells
        if isinstance(cells.dtype, pandas.DatetimeTZDtype):
            moment, wall = (
                cells.dt.tz_convert("UTC").dt.tz_localize(None),
                cells.dt.tz_localize(None),
            )
        return _seconds(moment.to_numpy()), _seconds(wall.to_numpy())

    def _text(self, cell: str, row: int) -> tuple[float, float]:
        text = cell.strip()
        if not text:
            raise UserError(f"Row {row} has no stamp in {self.place}.")
        if self.numeric is None:
            self.numeric = not self.form and _number(text) is not None
        if self.numeric:
            number = _number(text)
            if number is None:
                raise UserError(
                    f"{shown(text)} in row {row} of {self.place} is no number, as the stamps "
                    "before it are; write all as dates or all as numbers."
                )
            return number, number
        return self._date(text, row)

    def _date(self, text: str, row: int) -> tuple[float, float]:
        try:
            date = datetime.strptime(text, self.form) if self.form else _iso(text)
        except ValueError as error:
            how = f"written as {self.form}" if self.form else "written as 2024-01-31 or with a time"
            raise UserError(
                f"{shown(text)} in row {row} of {self.place} is no date {how}; mend it, or say how "
                "dates are written, such as time_format='%d/%m/%Y'."
            ) from error
        aware = date.tzinfo is not None
        if self.aware is None:
            self.aware = aware
        if aware != self.aware:
            kinds = "with a UTC offset, and those before it have none"
            raise UserError(
                f"{shown(text)} in row {row} of {self.place} is "
                f"{kinds if aware else 'without a UTC offset, and those before it have one'}; "
                "write all stamps alike."
            )
        wall = (date.replace(tzinfo=None) - _EPOCH).total_seconds()
        return (date.astimezone(UTC).timestamp() if aware else wall), wall


def elapsed(moment: np.ndarray, wall: np.ndarray | None, bounds: Sequence[int]) -> np.ndarray:
    """How many sampling steps after the first stamp of its series each stamp lies, (stamp,).

    A step is the median distance of neighbours; where all stamps are of one day of their month (or
    its last), months are counted, however long they are. Series i has stamps bounds[i] to
    bounds[i+1] - 1. `wall` is None where stamps are numbers.
    """
    clock = moment if wall is None else _months(wall, moment)
    inner = np.ones(len(clock), dtype=bool)
    inner[list(bounds[:-1])] = False
    apart = np.diff(clock, prepend=clock[:1])[inner]
    step = float(np.median(apart)) if len(apart) else 1.0
    first = np.repeat(clock[list(bounds[:-1])], np.diff(bounds))
    return (clock - first) / step


def calendar(
    names: Sequence[str], wall: np.ndarray | None, steps: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """The names and values (feature, stamp) of what `names` ask for, derived from the stamps.

    hour (of the day), weekday, yearday and month are angles φ, each given as sin φ and cos φ;
    position is log₁₀(2 + steps since the first stamp), the age of Salinas et al. 2020, "DeepAR".
    """
    found, rows = [], []
    for name in names:
        if name == "position":
            found.append(name)
            rows.append(np.log10(2.0 + steps))
            continue
        angle = 2.0 * np.pi * _turn(name, wall)
        found += [f"{name} sine", f"{name} cosine"]
        rows += [np.sin(angle), np.cos(angle)]
    return found, np.array(rows, dtype=np.float32).reshape(len(rows), len(steps))


def _turn(name: str, wall: np.ndarray) -> np.ndarray:
    """Where in its cycle each stamp lies, in [0, 1)."""
    days, seconds = np.divmod(wall, _DAY)
    if name == "hour":
        return seconds / _DAY
    if name == "weekday":
        return (days + 3) % 7 / 7  # 1970 began on a Thursday; Monday is 0
    date = days.astype("datetime64[D]")
    if name == "month":
        return date.astype("datetime64[M]").astype(np.int64) % 12 / 12
    year = date.astype("datetime64[Y]")
    begun, ends = (part.astype("datetime64[D]").astype(np.float64) for part in (year, year + 1))
    return (wall / _DAY - begun) / (ends - begun)


def _months(wall: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """The number of each stamp's month, if it says when in the month it is; else the moment."""
    month = np.floor(wall / _DAY).astype("datetime64[D]").astype("datetime64[M]")
    begun, ends = (part.astype("datetime64[s]").astype(np.float64) for part in (month, month + 1))
    since, until = wall - begun, ends - wall
    same_day = np.all(since == since[:1]) and np.all(since < 28 * _DAY)
    last_day = np.all(until == until[:1]) and np.all(until <= _DAY)
    return month.astype(np.float64) if len(wall) > 1 and (same_day or last_day) else moment


def _iso(text: str) -> datetime:
    quarter = _QUARTER.fullmatch(text)
    if quarter:
        return datetime(int(quarter[1]), 3 * int(quarter[2]) - 2, 1)
    return datetime.fromisoformat(text + "-01" if _MONTH.fullmatch(text) else text)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) and "_" not in text else None


def _seconds(dates: np.ndarray) -> np.ndarray:
    return dates.astype("datetime64[us]").astype(np.int64) / 1e6
