"""The suites of samplers and of the bases their solvers integrate in."""

import copy
import functools
import math
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Sampler, State, walk
from hush.samplers.bases import Basis
from hush.schedules import Level, Schedule
from hush.testing.claims import agree, require
from hush.testing.mixtures import GaussianMixture, MixtureDenoiser, flow_map
from hush.testing.schedules import check_frozen

_MIXTURE = GaussianMixture.of(
    [0.3, 0.5, 0.2], [[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]], [0.3, 0.2, 0.4]
)
_GAUSSIAN = GaussianMixture.of([1.0], [[0.7, 0.7, -0.4, 0.0]], [0.25])
_POINT = GaussianMixture.of([1.0], [[[0.3, -0.8], [1.0, 0.0]]], [0.0])


def even_levels(
    schedule: Schedule, steps: int, spacing: Literal["angle", "asinh"] = "angle"
) -> list[Level]:
    """Levels from t = 1 to 0 evenly spaced in the angle atan(σ/α), or in asinh(σ/α), which is even
    in the log-SNR where noise rules (and needs some signal at t = 1).

    On every schedule all steps shrink alike as they grow in number, the last one into σ = 0 too,
    which is what an order of convergence needs.
    """
    end = schedule.level(1.0)
    part = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    if spacing == "angle":
        ratios = (part * math.atan2(end.sigma, end.alpha)).tan()
    else:
        ratios = (part * math.asinh(end.sigma / end.alpha)).sinh()
    times = schedule.time(-2.0 * ratios.log())
    times[0], times[-1] = 1.0, 0.0
    return schedule.levels(times)


def _last(sampler: Sampler, data: GaussianMixture, x: Tensor, rng: Streams, *spaced: Any) -> Tensor:
    """The end of a walk whose denoiser says the exact mean, as a perfect network would, along
    `even_levels` (schedule, steps, spacing)."""
    denoiser = MixtureDenoiser(GaussianProcess(spaced[0]), data, spread=False)
    *_, state = walk(sampler, denoiser, x, even_levels(*spaced), rng)
    return state.x


def _noise(schedule: Schedule, data: GaussianMixture, rng: Streams) -> Tensor:
    """Draws of the exact law at t = 1."""
    process = GaussianProcess(schedule)
    return process.marginal(data.sample(rng), 1.0).sample(rng.next(2))


def check_sampler(sampler: Sampler, schedule: Schedule) -> None:
    """A sampler is a frozen value that walks the exact denoiser to the data.

    - a step leaves no trace: not in the sampler, nor in the state it was given, and the same state
      gives the same next state, bit for bit;
    - a batch walked in two halves gives the same samples, to 1e-12: each has its own stream;
    - no noise is left: a walk to data that are one point ends on that point (to 1e-12 of the
      largest σ/α, which is what rounding leaves of it);
    - a sampler that draws nothing converges to the exact flow of a mixture with the order that its
      `order` claims (within 0.3, between 64 and 128 steps, evenly spaced one way or the other);
    - of order 0, which follows a tolerance, it is within 1e-3 of that flow in one step;
    - one that draws gives Gaussian data their mean and variance, within 5 standard errors and the
      2 % that 200 steps (one step at order 0) may cost.
    """
    check_frozen(sampler)
    _check_trace(sampler, schedule)
    draws = _check_batch(sampler, schedule)
    rng = Streams.of(1, 6)
    x = _noise(schedule, _POINT, rng)
    end = _last(sampler, _POINT, x, rng.next(3), schedule, 5)
    name = f"{sampler!r} on {type(schedule).__name__}"
    ratio = math.exp(schedule.level(1.0).log_ratio) if schedule.level(1.0).alpha > 0.0 else 1.0
    allowed = 1e-12 * max(1.0, ratio)
    agree(end, _POINT.means.expand_as(end), allowed, f"the end of a walk of {name} to one point")
    if draws:
        _check_law(sampler, schedule, name)
    elif sampler.order == 0:
        x, exact = _flow(schedule)
        end = _last(sampler, _MIXTURE, x, Streams.of(0, 8), schedule, 1)
        agree(end, exact, 1e-3, f"the end of one step of {name}")
    else:
        _check_order(sampler, schedule, name)


def _check_trace(sampler: Sampler, schedule: Schedule) -> None:
    denoiser = MixtureDenoiser(GaussianProcess(schedule), _MIXTURE, spread=False)
    rng = Streams.of(4, 3)
    before = copy.deepcopy(sampler)
    levels = even_levels(schedule, 6)
    state = State(_noise(schedule, _MIXTURE, rng), levels[0], rng.next(3))
    for s in levels[1:]:
        given = copy.deepcopy(state)
        once = sampler.step(denoiser, state, s)
        again = sampler.step(denoiser, given, s)
        name = repr(sampler)
        require(torch.equal(once.x, again.x), f"{name}: the same state must give the same next.")
        require(torch.equal(state.x, given.x), f"{name} must not change the state it was given.")
        require(once.t == s, f"{name} must say that it arrived at t = {s.time}, not {once.t.time}.")
        require(once.rng.draw > state.rng.draw, f"{name} must move on in the random streams.")
        state = once
    require(sampler == before, f"{sampler!r} must not change as it walks.")


def _check_batch(sampler: Sampler, schedule: Schedule) -> bool:
    """Every state is walked from twice, by streams of its own: whether the ends differ, which is
    whether the sampler draws."""
    rng = Streams.of(9, 6)
    x = _noise(schedule, _MIXTURE, rng[:3]).repeat(2, 1)
    whole = _last(sampler, _MIXTURE, x, rng.next(3), schedule, 7)
    halves = [
        _last(sampler, _MIXTURE, x[part], rng[part].next(3), schedule, 7)
        for part in (slice(0, 2), slice(2, 6))
    ]
    agree(torch.cat(halves), whole, 1e-12, f"{sampler!r}, a batch in two halves")
    return bool((whole[:3] - whole[3:]).abs().max() > 1e-9)


@functools.lru_cache(maxsize=64)
def _flow(schedule: Schedule) -> tuple[Tensor, Tensor]:
    x = _noise(schedule, _MIXTURE, Streams.of(6, 8))
    return x, flow_map(_MIXTURE, x, schedule.level(1.0))


def _check_order(sampler: Sampler, schedule: Schedule, name: str) -> None:
    x, exact = _flow(schedule)
    spacings = ("angle", "asinh") if schedule.level(1.0).alpha > 0.0 else ("angle",)
    found = []
    for spacing in spacings:
        coarse, fine = (
            _last(sampler, _MIXTURE, x, Streams.of(0, 8), schedule, steps, spacing) - exact
            for steps in (64, 128)
        )
        errors = coarse.abs().max().item(), fine.abs().max().item()
        found.append((math.log2(errors[0] / max(errors[1], 1e-300)), *errors))
    slope, coarse, fine = max(found)
    require(
        slope >= sampler.claims - 0.3 or fine < 1e-9,
        f"{name} claims order {sampler.claims}, but its error falls as 1/steps^{slope:.2f} "
        f"({coarse:.3g} at 64 steps, {fine:.3g} at 128).",
    )


def _check_law(sampler: Sampler, schedule: Schedule, name: str) -> None:
    count, rng = 2000, Streams.of(10, 2000)
    x = _noise(schedule, _GAUSSIAN, rng)
    steps = 200 if sampler.order else 1
    end = _last(sampler, _GAUSSIAN, x, rng.next(3), schedule, steps)
    variance = _GAUSSIAN.variances.item()
    off = (end.mean(0) - _GAUSSIAN.mean).abs().max().item()
    allowed = (5.0 * count**-0.5 + 0.02) * variance**0.5
    require(off <= allowed, f"{name}: the mean is off by {off:.3g}, allowed {allowed:.3g}.")
    ratio = (end - _GAUSSIAN.mean).square().mean().item() / variance
    allowed = 5.0 * (2.0 / end.numel()) ** 0.5 + 0.02
    require(
        abs(ratio - 1.0) <= allowed,
        f"{name}: the variance is {ratio:.3f} of what it should be, allowed 1 ± {allowed:.3f}.",
    )


def check_basis(basis: Basis, schedule: Schedule) -> None:
    """A basis is the flow of a belief, written otherwise.

    - `ratio` undoes `variable`, and the variable only falls, or only rises, toward the data;
    - for a pair x = α x_0 + σ ε that never changes its mind, what a step between two levels adds is
      its slope, integrated over the variable: `advance` with that mean goes from x_t to x_s, to
      1e-11 (with the noise of its SDE, for τ > 0: its own part of x_s, the signal, does);
    - a step into σ = 0 lands on x_0 where the slope never changes.

    Levels without signal are left out where the basis has no scale for them.
    """
    name = f"{basis!r} on {type(schedule).__name__}"
    check_frozen(basis)
    rng = Streams.of(8, 4)
    pair = rng.normal((3,), torch.float64), rng.next().normal((3,), torch.float64)
    levels = even_levels(schedule, 9)
    if _blind(basis, levels[0]):
        levels = levels[1:]
    variables = [basis.variable(level) for level in levels]
    signs = {math.copysign(1.0, s - t) for t, s in pairwise(variables)}
    require(len(signs) == 1, f"The variable of {name} must always fall or always rise.")
    for level, variable in zip(levels, variables, strict=True):
        ratio = level.sigma / level.alpha if level.alpha > 0.0 else math.inf
        agree(basis.ratio(variable), ratio, 1e-9 * max(1.0, ratio), f"the ratio of {name}")
    for place, t in enumerate(levels[:-1]):
        for s in levels[place + 1 :]:
            _check_advance(basis, *pair, t, s, name)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def _check_advance(basis: Basis, x_0: Tensor, noise: Tensor, t: Level, s: Level, name: str) -> None:
    if basis.tau > 0.0 or s.sigma == 0.0:
        noise = torch.zeros_like(noise)
    x, wanted = (level.alpha * x_0 + level.sigma * noise for level in (t, s))
    start, end = basis.variable(t), basis.variable(s)
    mean = torch.zeros_like(x) if math.isfinite(end) else basis.combine(x_0, noise, s)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True) if math.isfinite(end) else ():
        ratio = basis.ratio(0.5 * (start + end) + 0.5 * (end - start) * node)
        norm = math.hypot(1.0, ratio) if math.isfinite(ratio) else math.inf
        level = Level(math.nan, 1.0 / norm, ratio / norm if math.isfinite(norm) else 1.0)
        mean += 0.5 * weight * basis.combine(x_0, noise, level)
    got = basis.advance(x, t, s, mean)
    scale = max(1.0, abs(basis.carry(t, s)), abs(basis.reach(t, s)))
    agree(got, wanted, 1e-11 * scale, f"a step of {name} from {t.time:.3f} to {s.time:.3f}")


def _blind(basis: Basis, level: Level) -> bool:
    """Whether the basis has no scale at a level without signal."""
    return level.alpha == 0.0 and math.isinf(basis.variable(level))
