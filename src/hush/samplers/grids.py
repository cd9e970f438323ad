"""Grids: which moments a walk visits. A grid makes the levels of a schedule once, in float64."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from hush.errors import UserError
from hush.schedules import Level, Schedule, Tabulated

Times = Float64[Tensor, " n"]


@dataclass(frozen=True)
class Grid(ABC):
    """`steps` steps down to the data at t = 0. A subclass writes `times`.

    A grid that `climbs` goes back up on its way, and visits more levels than that.
    """

    steps: int = 50

    climbs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"A grid needs at least 1 step, got {self.steps}.")

    @abstractmethod
    def times(self, schedule: Schedule) -> Times:
        """The steps + 1 times, decreasing, the last one 0."""

    def __call__(self, schedule: Schedule) -> list[Level]:
        """The levels the walk visits."""
        return schedule.levels(self.times(schedule))


@dataclass(frozen=True)
class Uniform(Grid):
    """Evenly spaced times, from 1 to 0."""

    def times(self, schedule: Schedule) -> Times:
        return torch.linspace(1.0, 0.0, self.steps + 1, dtype=torch.float64)


@dataclass(frozen=True)
class Quadratic(Grid):
    """Times evenly spaced in their square root: t_i = (1 - i/N)², closer toward the data.

    Song et al. 2021, "Denoising diffusion implicit models", appendix D.2.
    """

    def times(self, schedule: Schedule) -> Times:
        return torch.linspace(1.0, 0.0, self.steps + 1, dtype=torch.float64) ** 2


@dataclass(frozen=True)
class Given(Grid):
    """Times that are listed: a grid that was searched, or that another library walks."""

    steps: int = 2
    moments: tuple[float, ...] = (1.0, 0.5, 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.moments) != self.steps + 1 or not all(0.0 <= t <= 1.0 for t in self.moments):
            raise UserError(
                f"{self.steps} steps want {self.steps + 1} listed times in [0, 1], got "
                f"{len(self.moments)}: list others, or choose a grid that can be made of any size."
            )

    @classmethod
    def at(cls, times: Sequence[float]) -> "Given":
        """The grid of these times."""
        return cls(len(times) - 1, tuple(times))

    def times(self, schedule: Schedule) -> Times:
        return torch.tensor(self.moments, dtype=torch.float64)


@dataclass(frozen=True)
class LogSNR(Grid):
    """Evenly spaced log-SNRs, from t = 1 to where σ/α is `ratio_min`, then 0.

    Where a schedule ends louder than `ratio_max` (or without any signal), the first step goes from
    t = 1 to the second of the levels that begin at `ratio_max`: above it beliefs hardly change.
    Lu et al. 2022, "DPM-Solver", section 3.3 (their "uniform λ").
    """

    ratio_min: float = 0.02
    ratio_max: float = 100.0

    def times(self, schedule: Schedule) -> Times:
        ends = map(math.log, _ends(schedule, self.ratio_max, self.ratio_min))
        ratios = torch.linspace(*ends, self.steps, dtype=torch.float64)
        return _from_ratios(schedule, ratios.exp())


@dataclass(frozen=True)
class Karras(Grid):
    """σ/α spaced evenly in its ρ-th root, from t = 1 down to `ratio_min`, then 0; `ratio_max` as
    for `LogSNR`.

    r_i = (r_max^{1/ρ} + i/(N-1) (r_min^{1/ρ} - r_max^{1/ρ}))^ρ. Karras et al. 2022, eq. 5.
    """

    ratio_min: float = 0.002
    rho: float = 7.0
    ratio_max: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.rho < math.inf:
            raise UserError(f"The root rho of Karras must be above 0 and finite, got {self.rho}.")

    def times(self, schedule: Schedule) -> Times:
        ends = (r ** (1 / self.rho) for r in _ends(schedule, self.ratio_max, self.ratio_min))
        roots = torch.linspace(*ends, self.steps, dtype=torch.float64)
        return _from_ratios(schedule, roots**self.rho)


@dataclass(frozen=True)
class Focused(Grid):
    """Evenly spaced log(σ/α), closer where beliefs are formed: with ℓ = log(σ/α) the density of
    levels is 1 + height·exp(-½ ((ℓ - centre)/width)²), from t = 1 to σ/α = rest/steps, then 0;
    `ratio_max` as for `LogSNR`.

    The constants were fitted to the flows of Gaussian mixtures in 2 and 64 dimensions with about
    unit variance (`benchmarks/samplers.py` measures them on others).
    """

    height: float = 6.0
    centre: float = -0.33
    width: float = 1.15
    rest: float = 0.33
    ratio_max: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (-1.0 < self.height < math.inf and 0.0 < self.width < math.inf):
            raise UserError(
                "Focused wants a finite height above -1 and a finite width above 0, got "
                f"{self.height} and {self.width}."
            )

    def times(self, schedule: Schedule) -> Times:
        ends = map(math.log, _ends(schedule, self.ratio_max, self.rest / self.steps))
        place = torch.linspace(*ends, 4097, dtype=torch.float64)
        bump = torch.special.ndtr((place - self.centre) / self.width)
        count = place + self.height * self.width * math.sqrt(math.tau) * bump
        even = torch.linspace(count[0].item(), count[-1].item(), self.steps, dtype=torch.float64)
        ratios = np.interp(-even.numpy(), -count.numpy(), place.numpy())
        return _from_ratios(schedule, torch.from_numpy(ratios).exp())


def _ends(schedule: Schedule, most: float, least: float) -> tuple[float, float]:
    """σ/α at t = 1, held to `most`, and `least`."""
    level = schedule.level(1.0)
    first = min(level.sigma / level.alpha, most) if level.alpha > 0.0 else most
    if not 0.0 < least < first < math.inf:
        raise UserError(
            f"The grid falls from σ/α = {first:.3g} (t = 1 of {type(schedule).__name__}, or "
            f"ratio_max) and cannot rest at {least:.3g}: choose a ratio_min (of Focused a rest) "
            "above 0 and below that."
        )
    return first, least


def _from_ratios(schedule: Schedule, ratios: Times) -> Float64[Tensor, " n_and_0"]:
    """From t = 1 through the given σ/α, the first of which stands for the end, to 0."""
    times = schedule.time(-2.0 * ratios.log())
    times[0] = 1.0
    return torch.cat((times, times.new_zeros(1)))


@dataclass(frozen=True)
class Chain(Grid):
    """Some of the steps of a discrete chain, spaced as other libraries name it.

    With T steps in the chain and n asked for: `trailing` T, T - T/n, …; `leading` the steps
    1 + k⌊T/n⌋ (the last steps of the chain are not visited); `linspace` from T to 1 evenly. All
    end at the data.
    """

    spacing: Literal["trailing", "leading", "linspace"] = "trailing"

    def times(self, schedule: Schedule) -> Times:
        if not isinstance(schedule, Tabulated):
            raise UserError(
                f"The grid Chain picks steps of a discrete chain, and {type(schedule).__name__} "
                "is continuous: use Uniform, LogSNR or Karras."
            )
        length = schedule.steps
        if self.steps > length:
            raise UserError(f"A chain of {length} steps cannot be walked in {self.steps}.")
        counts = torch.arange(self.steps, 0, -1, dtype=torch.float64)
        if self.spacing == "trailing":
            steps = (counts * length / self.steps).round()
        elif self.spacing == "leading":
            steps = 1 + (counts - 1) * (length // self.steps)
        else:
            steps = torch.linspace(length, 1, self.steps, dtype=torch.float64).round()
        return torch.cat((steps / length, steps.new_zeros(1)))
