"""How series are read: one value, from which a command line can derive its flags."""

from collections.abc import Sequence
from dataclasses import dataclass

from hush.data.stamps import CALENDAR
from hush.errors import UserError, nearest

LENGTH = 64  # stamps of a window, where nothing is said


@dataclass(frozen=True)
class SeriesOptions:
    """How series are read and cut into windows. Raises `UserError` for what cannot be."""

    time: str | None = None
    """The column of time stamps; by default one named time, date, datetime, timestamp or ds."""
    item: str | None = None
    """In long form, the column that says which series a row belongs to."""
    values: Sequence[str] = ()
    """The columns to learn, a channel each; by default all that nothing else is said of."""
    covariates: Sequence[str] = ()
    """Columns of numbers known at every stamp, in the future too, such as a price or a forecast."""
    static: Sequence[str] = ()
    """Columns of numbers that never change within a series, such as a height above the sea."""
    calendar: Sequence[str] = ()
    """What to derive from the stamps: hour, weekday, yearday, month, position."""
    missing: Sequence[float | int | str] | float | int | str = ()
    """Cells that mean a missing value, such as -99.9, beside blank, NaN, NA and null."""
    length: int | None = None
    """Stamps of a window; by default context and horizon together, else 64."""
    stride: int = 1
    """Stamps from one window to the next."""
    context: int | None = None
    """Stamps of a window that are known when the others are to be told; with `horizon`."""
    horizon: int | None = None
    """Stamps of a window that are to be told from its context."""
    whole: bool = False
    """Leave out windows that miss a value, as all do that learn to draw windows from nothing."""
    labels: bool = False
    """Whether the series are classes, by their names."""
    time_format: str | None = None
    """How stamps are written, such as %d/%m/%Y; by default as ISO 8601, or as plain numbers."""
    delimiter: str = ","
    """The sign between the cells of a CSV file."""

    def __post_init__(self) -> None:
        for field in ("values", "covariates", "static", "calendar", "missing"):
            given = getattr(self, field)
            one = isinstance(given, str | int | float)
            object.__setattr__(self, field, (given,) if one else tuple(given))
        for field in ("length", "stride", "context", "horizon"):
            count = getattr(self, field)
            whole = isinstance(count, int) and not isinstance(count, bool)
            if count is not None and not (whole and count > 0):
                raise UserError(f"{field}={count}: expected a whole number of stamps, 1 or more.")
        for name in self.calendar:
            if name not in CALENDAR:
                raise UserError(f"calendar={name}: no such feature; {nearest(name, CALENDAR)}")
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise UserError(f"delimiter={self.delimiter!r}: expected one sign, such as ';'.")
        self._must_add_up()

    def _must_add_up(self) -> None:
        if self.labels and self.item is None:
            raise UserError("labels: series have names in long form; name their column in item.")
        if (self.context is None) != (self.horizon is None):
            raise UserError(
                f"context={self.context}, horizon={self.horizon}: expected both or neither."
            )
        if self.context and self.length not in (None, self.context + self.horizon):
            raise UserError(
                f"length={self.length}: context={self.context} and horizon={self.horizon} make "
                f"{self.context + self.horizon}; leave length out."
            )

    @property
    def window(self) -> int:
        """Stamps of a window."""
        return self.context + self.horizon if self.context else self.length or LENGTH
