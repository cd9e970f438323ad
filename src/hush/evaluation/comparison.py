"""A run beside what needs no diffusion, as one value for the terminal, a page and Python."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from hush.evaluation.calibration import Calibration
from hush.evaluation.page import About, Page


class Shown(NamedTuple):
    """A picture of what was judged, in [0, 1], and what it shows."""

    picture: Float[Tensor, "channel height width"]
    says: str


@dataclass(frozen=True)
class Table:
    """One comparison: a row for each who was asked, under `columns`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    shown: Shown | None = None

    def filled(self) -> "Table":
        """Without the columns in which nothing stands."""
        kept = [place for place in range(len(self.columns)) if any(row[place] for row in self.rows)]
        columns, *rows = (
            tuple(cells[place] for place in kept) for cells in (self.columns, *self.rows)
        )
        return Table(self.title, columns, tuple(rows), self.shown)


@dataclass(frozen=True)
class Comparison(Page):
    """Tables of what a run does, beside others; `reading` says how to read them, and `calibration`
    whether laws that it tells are as sure as they may be."""

    about: About
    tables: tuple[Table, ...]
    reading: str = ""
    calibration: Mapping[str, Calibration] = field(default_factory=dict)

    def page(self) -> str:
        """The comparison as a page in HTML."""
        from hush.evaluation.html import compared

        return compared(self)
