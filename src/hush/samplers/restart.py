"""Restart: a grid that goes back up over an interval, and walks it again."""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch

from hush.errors import UserError
from hush.samplers.grids import Grid, Karras, Times
from hush.schedules import Schedule


@dataclass(frozen=True)
class Restart(Grid):
    """The times of another grid; where σ/α is `ratio_low` the walk goes up to `ratio_high`, by the
    process's own noise, and down again in `again` steps, `repeats` times. The noise makes it forget
    the errors it came with.

    It adds 1 + repeats·again evaluations to the `steps` of the grid (of one-evaluation samplers)
    and visits `ratio_low` itself. The steps between are spaced as `Karras` has them. Several
    intervals are a grid in a grid, the lowest innermost: Restart(grid=Restart(ratio_low=…), …).
    `repeats` 0 is the grid itself.
    """

    grid: Grid = field(default_factory=Karras)
    ratio_low: float = 0.06
    ratio_high: float = 0.3
    again: int = 3
    repeats: int = 5

    climbs: ClassVar[bool] = True

    cite: ClassVar[str] = (
        "Xu, Deng, Cheng, Tian, Liu, Jaakkola 2023, Restart sampling for improving generative "
        "processes"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.ratio_low < self.ratio_high:
            raise UserError(
                f"Restart goes up from ratio_low to ratio_high, got {self.ratio_low} and "
                f"{self.ratio_high}: give 0 < ratio_low < ratio_high."
            )
        if self.again < 1 or self.repeats < 0:
            raise UserError(
                f"Restart needs at least 1 step to walk again and no negative repeats, got "
                f"{self.again} and {self.repeats}."
            )

    def times(self, schedule: Schedule) -> Times:
        times = replace(self.grid, steps=self.steps).times(schedule)
        if not self.repeats:
            return times
        interval = self._interval(schedule)
        low = interval[-1:]
        place = int((times <= low).nonzero()[0])
        rest = times[place:]
        again = interval.repeat(self.repeats)
        return torch.cat((times[:place], low, again, rest[1:] if rest[0] == low else rest))

    def _interval(self, schedule: Schedule) -> Times:
        """The times from `ratio_high` down to `ratio_low`."""
        ends = self.ratio_high ** (1 / _RHO), self.ratio_low ** (1 / _RHO)
        ratios = torch.linspace(*ends, self.again + 1, dtype=torch.float64) ** _RHO
        if math.log(self.ratio_high) > schedule.level(1.0).log_ratio:
            raise UserError(
                f"Restart goes up to σ/α = {self.ratio_high}, and {type(schedule).__name__} ends "
                f"at {math.exp(schedule.level(1.0).log_ratio):.3g}: lower ratio_high."
            )
        return schedule.time(-2.0 * ratios.log())


_RHO = Karras.rho
