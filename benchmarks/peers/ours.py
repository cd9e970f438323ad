"""hush on the exact flows: its samplers, its grids, its default."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor

from hush import samplers
from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.processes import GaussianProcess, Moment
from hush.rng import Streams
from hush.samplers import Ancestral, Heun, Multistep, RungeKutta, Sampler, bases, grids, walk
from hush.schedules import Schedule, Tabulated
from hush.testing import MixtureDenoiser
from peers.flows import PROBLEMS, Data, Flows, Walk
from peers.settings import Outcome, Setting, TooFew

MOST_PLANNED = 20


class Exact(Denoiser):
    """The denoiser that is never wrong, on all data of a walk at once."""

    def __init__(self, schedule: Schedule, run: Walk) -> None:
        super().__init__()
        self.process, self.run = GaussianProcess(schedule), run

    def forward(self, x_t: Tensor, t: Moment, cond: Tensor | None = None) -> Gaussian:
        level = self.process.schedule.level(t)
        return Gaussian(self.run.mean(x_t, level.alpha, level.sigma))


def walked(flows: Flows, schedule: Schedule, sampler: Sampler, grid: grids.Grid) -> Outcome:
    """A walk from the schedule's end, all data as one sample."""
    end = schedule.level(1.0)
    run = Walk(flows, end.alpha, end.sigma)
    x = run.x.unsqueeze(0)
    *_, last = walk(sampler, Exact(schedule, run), x, grid(schedule), Streams.of(0, 1))
    return run, last.x


def measure(flows: Flows, problem: str, sampler: Sampler, grid: grids.Grid) -> tuple[list, int]:
    """The error on each data set, and the evaluations it took."""
    run, end = walked(flows, PROBLEMS[problem], sampler, grid)
    return run.errors(end), run.evaluations


def error(sampler: Sampler, grid: grids.Grid, problem: str, data: Data) -> float:
    """The error of one sampler and grid on one problem (a name of `PROBLEMS`) and one data set.

    Many calls are faster through one `Flows` and `measure`, which keep the exact ends.
    """
    return measure(Flows((data,)), problem, sampler, grid)[0][0]


Steps = Callable[[int], int]


def _samplers(schedule: Schedule) -> Iterator[tuple[Sampler, Steps]]:
    """Each deterministic sampler, and how many steps so many evaluations are."""
    spaces = [bases.Velocity(), bases.Data(), bases.Angular()]
    if schedule.level(1.0).alpha > 0.0:
        spaces.append(bases.Noise())
    yield Ancestral(0.0), lambda evaluations: evaluations
    for basis in spaces:
        yield Heun(basis), lambda evaluations: (evaluations + 1) // 2
        yield RungeKutta(3, basis), lambda evaluations: evaluations // 3
        along = "log_snr" if isinstance(basis, bases.Data) else "variable"
        for order, corrector in ((2, 0), (3, 0), (4, 0), (2, 2), (2, 4), (3, 3), (4, 4)):
            sampler = Multistep(order, basis, corrector, along, start="lower")
            yield sampler, lambda evaluations: evaluations


def _grids(schedule: Schedule) -> Iterator[Callable[[int], grids.Grid]]:
    yield from (grids.Uniform, grids.Focused)
    for low in (0.01, 0.03, 0.1):
        for top in (30.0, 100.0):
            yield partial(grids.LogSNR, ratio_min=low, ratio_max=top)
        for rho in (2.0, 4.0, 7.0):
            yield partial(grids.Karras, ratio_min=low, rho=rho)
    if isinstance(schedule, Tabulated):
        yield partial(grids.Chain, spacing="linspace")


def _chosen(
    problem: str, sampler: Sampler, steps: Steps, grid: Callable, flows: Flows, evaluations: int
) -> Outcome:
    return walked(flows, PROBLEMS[problem], sampler, grid(steps(evaluations)))


def _default(problem: str, flows: Flows, evaluations: int) -> Outcome:
    return walked(flows, PROBLEMS[problem], *samplers.default(evaluations))


def _planned(problem: str, flows: Flows, evaluations: int) -> Outcome:
    """For each data set the best of `hush.samplers.plan`, which saw 128 other starting points."""
    if evaluations > MOST_PLANNED:
        raise TooFew  # a plan of so many steps takes minutes, and there is nothing left to gain
    process, ends = GaussianProcess(PROBLEMS[problem]), []
    for place, one in enumerate(flows.data):
        rng = Streams.of(1000, 128)
        x = process.marginal(one.mixture.sample(rng), 1.0).sample(rng.next(2))
        denoiser = MixtureDenoiser(process, one.mixture, spread=False)
        best = samplers.plan(denoiser, x, evaluations)[0]
        run, end = walked(flows, process.schedule, best.sampler, best.grid)
        ends.append(flows.split(end)[place].flatten())
    return run, torch.cat(ends)


def brief(value: Any, *unsaid: str) -> str:
    """A frozen value in words, without what is as it is by default."""
    if not is_dataclass(value):
        return repr(value)
    plain = type(value)()
    said = [
        f"{one.name}={brief(getattr(value, one.name))}"
        for one in fields(value)
        if one.name not in unsaid and getattr(value, one.name) != getattr(plain, one.name)
    ]
    return f"{type(value).__name__}({', '.join(said)})"


def settings(problem: str) -> Iterator[Setting]:
    """hush's own, and what it takes by default."""
    schedule = PROBLEMS[problem]
    yield Setting("hush", "default", "", partial(_default, problem), True)
    yield Setting("hush", "planned", "", partial(_planned, problem))
    for (sampler, steps), grid in product(_samplers(schedule), _grids(schedule)):
        walk_it = partial(_chosen, problem, sampler, steps, grid)
        yield Setting("hush", brief(sampler), brief(grid(1), "steps"), walk_it)
