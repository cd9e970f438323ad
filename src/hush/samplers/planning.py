"""What to walk with: a default for any model, and the best for one model by trying."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.rng import Streams
from hush.samplers.base import Sampler, walk
from hush.samplers.bases import Data
from hush.samplers.grids import Focused, Given, Grid, Karras, LogSNR, Uniform
from hush.samplers.multistep import Multistep
from hush.samplers.search import FINE, Teacher, searched
from hush.schedules import Schedule
from hush.tensors import Condition, each

SAMPLERS: tuple[Sampler, ...] = (
    Multistep(2, corrector=2),
    Multistep(2, corrector=4),
    Multistep(3, corrector=3),
    Multistep(3, corrector=4),
    FINE,
    Multistep(2, Data(), along="log_snr", rule="midpoint"),
)
GRIDS: tuple[Grid, ...] = (Focused(), LogSNR(), Karras(), Uniform())


def default(evaluations: int) -> tuple[Sampler, Grid]:
    """The sampler and grid for a number of evaluations when nothing is known of the model: Adams'
    method in the basis of the velocity, corrected to fourth order, on `Focused` levels.

    Up to 8 evaluations its predictor is of second order: far apart, more points mislead it.
    `benchmarks/samplers.py` measures this beside other libraries on flows known exactly.
    """
    if evaluations <= 8:
        return Multistep(2, corrector=4), Focused(evaluations, rest=0.58)
    return FINE, Focused(evaluations)


@dataclass(frozen=True)
class Plan:
    """A way to walk a model, and its `error`: how far its ends are from those of the fine walk, the
    root mean square over a sample's elements, the mean over samples, in units of x_0."""

    sampler: Sampler
    grid: Grid
    error: float


def plan(
    denoiser: Denoiser,
    x: Tensor,
    evaluations: int,
    cond: Condition | None = None,
    samplers: Sequence[Sampler] = SAMPLERS,
    grids: Sequence[Grid] = GRIDS,
    rounds: int = 3,
) -> list[Plan]:
    """Every pair of sampler and grid tried at this many evaluations, the best first.

    x are states at t = 1, a few dozen. On the first half of them a grid is `searched` for this
    model and the best pair `refined`; the errors are those of the second half. The samplers must
    ask once a step.
    """
    if evaluations < 1 or len(x) < 2:
        raise UserError(
            f"A plan needs 1 evaluation and 2 states or more, got {evaluations} and {len(x)}."
        )
    fine, half = max(96, 4 * evaluations), len(x) // 2
    learn, judge = (
        Trial(denoiser, x[part], each(lambda given, part=part: given[part], cond), fine)
        for part in (slice(half), slice(half, None))
    )
    sized = [replace(grid, steps=evaluations) for grid in grids]
    if evaluations > 1:
        sized.append(searched(learn.teacher, evaluations))
    pairs = [default(evaluations), *product(samplers, sized)]
    best = min(pairs, key=lambda pair: learn.error(*pair))
    pairs.append((best[0], refined(learn, *best, rounds)))
    return sorted((Plan(*pair, judge.error(*pair)) for pair in pairs), key=lambda one: one.error)


@dataclass(frozen=True)
class Trial:
    """A model, states to walk from, and where a walk of `fine` evaluations takes them."""

    denoiser: Denoiser
    x: Tensor
    cond: Condition | None
    fine: int

    @cached_property
    def teacher(self) -> Teacher:
        """The fine walk."""
        return Teacher.of(self.denoiser, self.x, self.fine, self.cond)

    def error(self, sampler: Sampler, grid: Grid) -> float:
        """How far this walk's ends are from the teacher's, as `Plan` counts it."""
        levels, rng = grid(self.denoiser.process.schedule), Streams.of(0, len(self.x))
        *_, state = walk(sampler, self.denoiser, self.x, levels, rng, self.cond)
        gaps = (state.x - self.teacher.end).flatten(1)
        error = gaps.square().mean(1).sqrt().mean().item()
        return error if math.isfinite(error) else math.inf


def refined(trial: Trial, sampler: Sampler, grid: Grid, rounds: int) -> Given:
    """The grid with its levels moved, one after the other, as long as the error falls: each toward
    its neighbours in log(σ/α), by a share that halves every round."""
    schedule = trial.denoiser.process.schedule
    times = [level.time for level in grid(schedule)]
    least = trial.error(sampler, Given.at(times))
    for part in (0.3 * 0.5**n for n in range(rounds)):
        for place in range(1, len(times) - 1):
            for toward in (place - 1, min(place + 1, len(times) - 2)):
                moved = [*times]
                moved[place] = _between(schedule, times[place], times[toward], part)
                if (error := trial.error(sampler, Given.at(moved))) < least:
                    times, least = moved, error
    return Given.at(times)


def _between(schedule: Schedule, t: float, toward: float, part: float) -> float:
    """The time a part of the way from t toward another, in log(σ/α); where there is no neighbour on
    the clean side, that much closer to the data."""
    here, there = (max(min(schedule.level(at).log_ratio, 5.0), -9.0) for at in (t, toward))
    there = here - 1.0 if there == here else there
    return schedule.at_ratio(math.exp(here + part * (there - here))).time
