"""DPM-Solver++ (SDE) of diffusers, which wants torchsde for its noise: here it is fed hush's own.

diffusers imports torchsde with the module, so an empty one stands in; the scheduler's
`noise_sampler` is then the increment of hush's path, divided by what the scheduler multiplies with.
"""

import importlib
import math
import sys
import types

import pytest

pytest.importorskip("diffusers")

from schedulers import LINEAR, MIXTURE, doubled, ours, starting

from hush.interop.diffusers import from_diffusers
from hush.interop.diffusers.options import SCHEDULERS
from hush.processes import GaussianProcess
from hush.samplers import State
from hush.samplers.paths import Drift
from hush.schedules import Level

MODULE = "diffusers.schedulers.scheduling_dpmsolver_sde"


@pytest.fixture
def scheduler_class(monkeypatch):
    """The class, in double precision."""
    monkeypatch.setitem(sys.modules, "torchsde", types.ModuleType("torchsde"))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    cls = importlib.import_module(MODULE).DPMSolverSDEScheduler
    monkeypatch.setattr(importlib.import_module("diffusers"), cls.__name__, cls)
    with doubled(cls.__name__):
        yield cls
    sys.modules.pop(MODULE)


def theirs(scheduler, steps, z, levels, drift):
    """Its walk on x/α, its belief exact at the σ it claims, its noise that of hush's path."""
    scheduler.set_timesteps(steps)
    ratios = [level.sigma / level.alpha for level in levels]
    x, drifts = scheduler.sigmas[0].item() * z * math.hypot(1.0, 1.0 / ratios[0]), [drift]
    for s in levels[1:]:
        drifts.append(drifts[-1].to(s)[1])

    def noise(high, low):
        """Unit noise from one of its levels to the next, or half way: the kick over its size."""
        place = min(range(len(ratios)), key=lambda k: abs(ratios[k] - float(high)))
        middle = (ratios[place] * ratios[place + 1]) ** 0.5
        low = min((middle, ratios[place + 1]), key=lambda ratio: abs(ratio - float(low)))
        level = drift.path.process.schedule.at_ratio(low)
        kick, _ = drifts[place].to(level)
        return kick / (level.sigma * (1.0 - (low / ratios[place]) ** 2) ** 0.5)

    scheduler.noise_sampler = noise
    for timestep in scheduler.timesteps:
        if scheduler.step_index is None:
            scheduler.scale_model_input(x, timestep)
        first = scheduler.state_in_first_order
        sigma = float(
            scheduler.sigmas[scheduler.step_index] if first else scheduler.mid_point_sigma
        )
        x_0 = MIXTURE.posterior(x, Level(math.nan, 1.0, sigma)).mean
        x = scheduler.step((x - x_0) / sigma, timestep, x).prev_sample
    return x


@pytest.mark.parametrize("steps", [5, 10, pytest.param(25, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"timestep_spacing": "leading", "steps_offset": 1},
        {"timestep_spacing": "trailing"},
        {"use_karras_sigmas": True},
        {"use_exponential_sigmas": True},
        {"use_beta_sigmas": True},
    ],
    ids=str,
)
def test_it_walks_as_the_sde_of_diffusers(scheduler_class, options, steps):
    config = {**LINEAR, **options}
    motion = from_diffusers({"_class_name": "DPMSolverSDEScheduler", **config}, steps)
    z, rng = starting()
    x, levels = ours(motion, z, rng=rng)
    state = State(math.hypot(levels[0].alpha, levels[0].sigma) * z, levels[0], rng)
    drift = Drift.of(state, GaussianProcess(motion.schedule), 1.0)
    y = theirs(scheduler_class(**config), steps, z, levels, drift)
    assert ((x - y).abs().max() / y.abs().max()).item() < 1e-9


def test_its_options_and_their_defaults_are_theirs(scheduler_class):
    theirs = {k: v for k, v in scheduler_class().config.items() if k[0] != "_"}
    assert SCHEDULERS[scheduler_class.__name__] == theirs
