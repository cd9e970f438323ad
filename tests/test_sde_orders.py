"""Weak orders of the stochastic Adams and Runge-Kutta solvers, without Monte-Carlo noise.

As in test_stochastic, by impulses: the noise of an SDE's step is σ_s √(1 - decay²) of a unit draw
independent of the others, and each sample here gets one of them alone.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Multistep, State, bases, multistep, walk
from hush.samplers.paths import Drift
from hush.schedules import EDM, Level, Rectified, VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser

GAUSSIAN = GaussianMixture.of([1.0], [[0.7]], [0.25])
ONE = bases.Data(1.0)


@dataclass(frozen=True)
class Impulses:
    """Stands in for `Drift`: the noise of step k for sample 2 + k, none for the others."""

    tau: float
    t: Level
    like: Tensor
    step: int = 0

    @classmethod
    def of(cls, state, process, tau):
        return cls(tau, state.t, state.x)

    def to(self, s):
        after = replace(self, t=s, step=self.step + 1)
        if s.sigma == 0.0:
            return 0.0, after
        decay = (s.sigma * self.t.alpha / (s.alpha * self.t.sigma)) ** self.tau**2
        hit = (torch.arange(len(self.like)) == self.step + 2).double()
        return s.sigma * (1.0 - decay**2) ** 0.5 * hit.unsqueeze(1), after


def variance_error(sampler, schedule, steps):
    """How far the variance of the ends is from the data's, from where σ/α is 2."""
    ratios = torch.linspace(math.log(2.0), math.log(1e-4), steps, dtype=torch.float64).exp()
    times = torch.cat((schedule.time(-2.0 * ratios.log()), torch.zeros(1, dtype=torch.float64)))
    levels = schedule.levels(times)
    denoiser = MixtureDenoiser(GaussianProcess(schedule), GAUSSIAN, spread=False)
    x = torch.zeros(steps + 2, 1, dtype=torch.float64)
    x[1] = 1.0
    *_, state = walk(sampler, denoiser, x, levels, Streams.of(0, len(x)))
    gain, response = state.x[1] - state.x[0], state.x[2:] - state.x[0]
    start = levels[0].alpha ** 2 * 0.25 + levels[0].sigma ** 2
    return abs((gain**2 * start + (response**2).sum()).item() / 0.25 - 1.0)


@pytest.mark.parametrize("schedule", [VariancePreserving(), EDM(), Rectified()], ids=repr)
@pytest.mark.parametrize(
    ("sampler", "order"),
    [
        (Multistep(1, ONE), 1),
        (Multistep(2, ONE, along="log_snr"), 2),
        (Multistep(2, ONE, along="log_snr", rule="midpoint"), 2),
        (Multistep(3, ONE, corrector=3, along="log_snr"), 2),
    ],
    ids=["DDPM", "SDE-DPM-Solver++ 2M exact", "SDE-DPM-Solver++ 2M", "SA-Solver"],
)
def test_weak_order(monkeypatch, sampler, order, schedule):
    monkeypatch.setattr(multistep, "Drift", Impulses)
    errors = [variance_error(sampler, schedule, steps) for steps in (80, 160, 320)]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)


def test_a_drift_is_the_noise_that_the_impulses_stand_for():
    """Its kicks have the variance σ_s² (1 - decay²), and those of two steps nothing in common."""
    schedule, count = VariancePreserving(), 20000
    t, s, r = (schedule.level(time) for time in (0.6, 0.5, 0.35))
    state = State(torch.zeros(count, 1, dtype=torch.float64), t, Streams.of(3, count))
    one, there = Drift.of(state, GaussianProcess(schedule), 1.0).to(s)
    two, _ = there.to(r)
    for kick, end, start in ((one, s, t), (two, r, s)):
        decay = end.sigma * start.alpha / (end.alpha * start.sigma)
        wanted = end.sigma**2 * (1.0 - decay**2)
        assert kick.var().item() == pytest.approx(wanted, rel=4 * (2 / count) ** 0.5)
    joint = (one * two).mean().item() / (one.std() * two.std()).item()
    assert abs(joint) < 4 / count**0.5


def test_two_short_steps_and_a_long_one_are_the_same_noise():
    """A step in two halves or in one: the kicks add up, x over its scale, to the same noise."""
    schedule = EDM()
    t, s, r = (schedule.level(time) for time in (0.3, 0.2, 0.1))
    state = State(torch.zeros(5, 2, dtype=torch.float64), t, Streams.of(3, 5))
    begin = Drift.of(state, GaussianProcess(schedule), 1.0)
    whole, (half, there) = begin.to(r)[0], begin.to(s)
    rest = there.to(r)[0]
    torch.testing.assert_close(whole, ONE.carry(s, r) * half + rest, rtol=1e-9, atol=1e-12)
