"""Who can be certified: any way from noise to data that asks a belief on the way."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.processes import GaussianProcess, Moment
from hush.rng import Streams
from hush.samplers import Sampler, walk
from hush.samplers.grids import Grid
from hush.schedules import Level, Schedule, Tabulated
from hush.tensors import Condition
from hush.testing.mixtures import CLEAN
from hush.testing.samplers import even_levels

Belief = Callable[[Tensor, Level], Tensor]  # (x_t, level) -> E[x_0 | x_t]
Spacing = Literal["own", "angle", "asinh", "log_snr"]
STOP = 0.01  # σ/α where walks of even log-SNR steps stop


class Subject(ABC):
    """A way from noise to data. States are x = α x_0 + σ ε, (batch, *event) in float64.

    `order` is what it claims; `floor` the relative error that its own number format leaves;
    `refines` whether it can also walk grids that refine everywhere: `even_levels`, and steps even
    in the log-SNR, which stop at some noise.
    """

    name: str
    where: str
    order: int
    floor: float = 1e-9
    refines: bool = True

    @abstractmethod
    def start(self, steps: int, spacing: Spacing = "own") -> Level:
        """The level of its first state."""

    def end(self, steps: int, spacing: Spacing) -> Level:
        """The level of its last state."""
        return CLEAN

    @abstractmethod
    def prior(self, steps: int) -> float:
        """The standard deviation of the noise it starts from, where data are of mean 0 and
        variance 1."""

    @abstractmethod
    def walk(
        self, belief: Belief, x: Tensor, steps: int, seed: int, spacing: Spacing = "own"
    ) -> Tensor:
        """From x at the first level to the end."""

    @abstractmethod
    def lengths(self) -> tuple[int, ...]:
        """Numbers of steps that it must bear, however few or many."""


class Asking(Denoiser):
    """A belief as a denoiser."""

    def __init__(self, schedule: Schedule, belief: Belief) -> None:
        super().__init__()
        self.process, self.belief = GaussianProcess(schedule), belief

    def forward(self, x_t: Tensor, t: Moment, cond: Condition | None = None) -> Gaussian:
        return Gaussian(self.belief(x_t, self.process.schedule.level(t)))


@dataclass(frozen=True)
class Walk(Subject):
    """A sampler of hush, or of your own, on a schedule and a grid."""

    sampler: Sampler
    schedule: Schedule
    grid: Grid
    name: str = ""
    where: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or repr(self.sampler))
        object.__setattr__(self, "where", self.where or f"{self.schedule!r}, {self.grid!r}")

    @property
    def order(self) -> int:
        return self.sampler.claims

    def levels(self, steps: int, spacing: Spacing = "own") -> list[Level]:
        """The levels that it visits."""
        if spacing == "own":
            return replace(self.grid, steps=steps)(self.schedule)
        return refined(self.schedule, steps, spacing)

    def start(self, steps: int, spacing: Spacing = "own") -> Level:
        return self.levels(steps, spacing)[0]

    def end(self, steps: int, spacing: Spacing) -> Level:
        return self.levels(steps, spacing)[-1] if spacing == "log_snr" else CLEAN

    def prior(self, steps: int) -> float:
        like = torch.empty(0, dtype=torch.float64)
        return GaussianProcess(self.schedule).prior((1, 1), like).spread.item() ** 0.5

    def walk(
        self, belief: Belief, x: Tensor, steps: int, seed: int, spacing: Spacing = "own"
    ) -> Tensor:
        levels, rng = self.levels(steps, spacing), Streams.of(seed, len(x))
        *_, state = walk(self.sampler, Asking(self.schedule, belief), x, levels, rng)
        return state.x

    def lengths(self) -> tuple[int, ...]:
        if not isinstance(self.schedule, Tabulated):
            return (1, 2, 3, 200)
        whole = self.schedule.steps
        return tuple(n for n in (1, 2, 3, whole // 2 - 1, whole - 1, whole) if n > 0)


def refined(schedule: Schedule, steps: int, spacing: Spacing) -> list[Level]:
    """Levels whose steps all shrink as they grow in number; "log_snr" stops at σ/α = STOP."""
    if spacing != "log_snr":
        return even_levels(schedule, steps, spacing)
    first = schedule.level(1.0).log_snr
    times = schedule.time(torch.linspace(first, -2.0 * math.log(STOP), steps + 1).double())
    times[0] = 1.0
    return schedule.levels(times)


def spacings(subject: Subject) -> tuple[Spacing, ...]:
    """The grids that refine everywhere and exist for a subject."""
    if not subject.refines:
        return ("own",)
    signal = subject.start(32, "angle").alpha > 1e-9  # without it there is no even log-SNR
    return ("angle", "asinh", "log_snr") if signal else ("angle",)
