"""Schedulers of diffusers brought to double precision, walked with an exact denoiser.

diffusers keeps its tables in float32. Here float32 reads float64 in the scheduler's own module, so
that what is compared with hush is the mathematics, and agreement can be asked to the last digits.
"""

import contextlib
import math
import sys
from itertools import chain, pairwise, repeat

import diffusers
import torch

from hush.interop.diffusers import from_diffusers
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, walk
from hush.samplers.base import State
from hush.samplers.paths import Drift
from hush.schedules import Level
from hush.testing import GaussianMixture, MixtureDenoiser

MIXTURE = GaussianMixture.of([0.3, 0.7], [[[-1.0], [0.3]], [[0.6], [0.5]]], [0.2, 0.3])
GAUSSIAN = GaussianMixture.of([1.0], [[[0.0], [0.0]]], [0.25])
LINEAR = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
RATIOS = ("Euler", "Heun", "EDM")  # schedulers that stand on x/α
STEPPING = ("DDIMScheduler", "PNDMScheduler")  # schedulers that go down by ⌊T/n⌋
SOLVERS = ("DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler")
COUNT, EVENT = 6, (2, 1)


class Double:
    """A module in which float32 is float64."""

    def __init__(self, module):
        self.module = module

    def __getattr__(self, name):
        return getattr(self.module, {"float32": "float64"}.get(name, name))


@contextlib.contextmanager
def doubled(name, noises=(), double=True):
    """The class of a scheduler, in double precision unless told, drawing the given noises."""
    cls = getattr(diffusers, name)
    module, left = sys.modules[cls.__module__], chain(iter(noises), repeat(torch.zeros(())))
    names = [each for each in ("torch", "np", "randn_tensor") if hasattr(module, each)]
    kept = {each: getattr(module, each) for each in names}
    for each in ("torch", "np"):
        if each in kept and double:
            setattr(module, each, Double(kept[each]))
    module.randn_tensor = lambda *args, **kwargs: next(left)
    torch.set_default_dtype(torch.float64 if double else torch.float32)
    try:
        yield cls
    finally:
        torch.set_default_dtype(torch.float32)
        for each, value in kept.items():
            setattr(module, each, value)


def made(name, **options):
    return getattr(diffusers, name)(**chained(name, options))


def motion(name, steps, **options):
    """hush's reading of it."""
    return from_diffusers({"_class_name": name, **chained(name, options)}, steps)


def chained(name, options):
    """The options, on DDPM's chain unless they say otherwise."""
    return options if "EDM" in name else {**LINEAR, **options}


def level_of(scheduler, timestep):
    """The level that a scheduler claims to stand at."""
    if hasattr(scheduler, "sigmas"):
        ratio = float(scheduler.sigmas[scheduler.step_index or 0])
        return placed(scheduler, ratio)
    alpha_bar = float(scheduler.alphas_cumprod[int(timestep)])
    return Level(math.nan, alpha_bar**0.5, (1.0 - alpha_bar) ** 0.5)


def placed(scheduler, ratio):
    if type(scheduler).__name__.startswith(RATIOS):
        return Level(math.nan, 1.0, ratio)
    if scheduler.config.get("use_flow_sigmas"):
        return Level(math.nan, 1.0 - ratio, ratio)
    alpha = (1.0 + ratio**2) ** -0.5
    return Level(math.nan, alpha, ratio * alpha)


def answer(scheduler, x, x_0, level):
    """What a network that believes in x_0 would say at x."""
    alpha, sigma = level.alpha, level.sigma
    if "sigma_data" in scheduler.config:
        data, power = scheduler.config.sigma_data, sigma**2 + scheduler.config.sigma_data**2
        return (x_0 - data**2 / power * x) * power**0.5 / (sigma * data)
    noise = (x - alpha * x_0) / sigma
    scale = (alpha**2 + sigma**2) ** -0.5
    return {
        "epsilon": noise,
        "sample": x_0,
        "flow_prediction": noise - x_0,
        "v_prediction": scale * (alpha * noise - sigma * x_0),
    }[scheduler.config.prediction_type]


def theirs(name, steps, z, mixture=MIXTURE, noises=(), arguments=None, double=True, **options):
    """The state a scheduler ends in, from z·√(α² + σ²), and the levels it asked at."""
    with doubled(name, noises, double) as cls:
        scheduler = cls(**chained(name, options))
        scheduler.set_timesteps(steps)
        first = level_of(scheduler, scheduler.timesteps[0])
        x, levels = math.hypot(first.alpha, first.sigma) * z, []
        for timestep in scheduler.timesteps:
            level = level_of(scheduler, timestep)
            if hasattr(scheduler, "is_scale_input_called") or "sigma_data" in scheduler.config:
                scheduler.scale_model_input(x, timestep)
            said = answer(scheduler, x, mixture.posterior(x, level).mean, level)
            x = scheduler.step(said, timestep, x, **(arguments or {})).prev_sample
            levels.append(level)
    return x, levels


def ours(motion, z, mixture=MIXTURE, rng=None):
    """The state that hush ends a motion in, from z·√(α² + σ²), and the motion's levels."""
    levels = motion.grid(motion.schedule)
    denoiser = MixtureDenoiser(GaussianProcess(motion.schedule), mixture, spread=False)
    denoiser = motion.threshold(denoiser) if motion.threshold else denoiser
    x = math.hypot(levels[0].alpha, levels[0].sigma) * z
    *_, state = walk(motion.sampler, denoiser, x, levels, rng or Streams.of(0, len(z)))
    return state.x, levels


def starting(seed=5):
    """z, and the streams of the walk from it."""
    rng = Streams.of(seed, COUNT)
    return rng.normal(EVENT, torch.float64), rng.next()


def apart(name, steps, double=True, **options):
    """How far hush's end of a motion is from diffusers', relative to its size."""
    arguments = options.pop("arguments", {})
    z, rng = starting()
    read = motion(name, steps, **options, **arguments)
    x, levels = ours(read, z, rng=rng)
    noises = drawn(read, levels, rng, z)
    y, asked = theirs(name, steps, z, noises=noises, arguments=arguments, double=double, **options)
    if double and name != "PNDMScheduler":  # which also asks half way between
        assert_same_levels(levels, asked)
    end = 1.0 if name.startswith(RATIOS) else levels[-1].alpha
    x, y = x / levels[-1].alpha, y / end
    return ((x - y).abs().max() / y.abs().max()).item()


def assert_same_levels(levels, asked):
    """hush asks at every level they ask at; a step from a level to itself is no second one."""
    gaps = directions(asked).unsqueeze(1) - directions(levels)
    assert gaps.norm(dim=2).min(dim=1).values.max() < 1e-9


def directions(levels):
    """(α, σ) of each level, of length one: two are the same where σ/α is."""
    points = torch.tensor([[each.alpha, each.sigma] for each in levels], dtype=torch.float64)
    return points / points.norm(dim=1, keepdim=True)


def drawn(motion, levels, rng, z):
    """The unit noise of each step that hush's walk spends."""
    steps = range(len(levels) - 1)
    if isinstance(motion.sampler, Ancestral) and motion.sampler.eta:
        return [rng.next(k).normal(EVENT, torch.float64) for k in steps]
    if not getattr(getattr(motion.sampler, "basis", None), "tau", 0.0):
        return []
    process = GaussianProcess(motion.schedule)
    state = State(math.hypot(levels[0].alpha, levels[0].sigma) * z, levels[0], rng)
    drift, units = Drift.of(state, process, 1.0), []
    for t, s in pairwise(levels):
        kick, drift = drift.to(s)
        fresh = 1.0 - (s.sigma * t.alpha / (s.alpha * t.sigma)) ** 2
        units.append(kick / (s.sigma * fresh**0.5) if s.sigma else torch.zeros_like(z))
    return units
