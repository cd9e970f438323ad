"""Variational diffusion models."""

import math
from dataclasses import dataclass

from torch import nn

from hush.codecs import Range
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import Noise
from hush.guidance import Clip
from hush.likelihoods.decoders import Density, Nearest
from hush.networks import Backbone
from hush.networks.fourier import Fourier, frequencies_of, widened
from hush.objectives.learned_bound import LearnedBound
from hush.objectives.times import Stratified, Uniform
from hush.processes import GaussianProcess
from hush.samplers import Ancestral, grids
from hush.schedules import Level, Schedule
from hush.schedules.learned import Learned
from hush.system import Recipe, System, cited
from hush.tasks import Generate
from hush.tensors import Number


@dataclass(frozen=True)
class NoiseByLevel(Noise):
    """The noise ε, of a network that is told the noise level and not the time, which a learned
    schedule moves: 1000 (γ - gamma_min)/(gamma_max - gamma_min), γ = -log(α²/σ²)."""

    gamma_min: float = -13.3
    gamma_max: float = 5.0

    def clock(self, schedule: Schedule, level: Level) -> Number:
        return 1000.0 * (-level.log_snr - self.gamma_min) / (self.gamma_max - self.gamma_min)


@cited("Kingma, Salimans, Poole, Ho 2021, Variational diffusion models, arXiv:2107.00630")
def vdm(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(multipliers=(1,), blocks=32, head=128),
    levels: int | None = 256,
    gamma_min: float | None = None,
    gamma_max: float = 5.0,
    learn: bool = True,
    fourier: bool = True,
    clip: bool = True,
    recipe: Recipe = Recipe(
        steps=10_000_000,
        batch=128,
        learning_rate=2e-4,
        warmup=100,
        weight_decay=0.01,
        ema=0.9999,
    ),
) -> System:
    """VDM: network and noise schedule trained together on the bound of the likelihood.

    -log p(x_0) ≤ ½ E γ'(t) ‖ε - ε̂‖² + prior + reconstruction, γ = -log(α²/σ²) monotone in t.

    Args:
        shape: of one event, (channel, height, width).
        classes: names of the classes, if the data have them.
        backbone: the network.
        levels: values that each element of the data can take, None if they are continuous.
        gamma_min: γ where the schedule begins, at first: minus the largest log-SNR. By default
            the paper's -13.3 for 256 levels, and as far below the spacing of others.
        gamma_max: γ at its end, at first.
        learn: learn the schedule too; without, γ rises evenly from gamma_min to gamma_max.
        fourier: show the network sines of the data that tell neighbouring levels apart.
        clip: hold x̂_0 to the data's range while sampling.
        recipe: how it is trained.
    """
    if gamma_min is None:
        gamma_min = -13.3 + 2.0 * math.log(255.0 / (levels - 1)) if levels else -13.3
    schedule = Learned(gamma_min, gamma_max).requires_grad_(learn)
    network = _network(backbone, shape, len(classes), levels if fourier else None)
    decoder = Nearest(2.0 / (levels - 1)) if levels else Density()
    return System(
        codec=Range(),
        denoiser=GaussianDenoiser(
            GaussianProcess(schedule), network, NoiseByLevel(gamma_min, gamma_max)
        ),
        objective=LearnedBound(times=Stratified(Uniform(schedule.start)), decoder=decoder),
        sampler=Ancestral(eta=1.0),
        grid=grids.Uniform(250),
        task=Generate(shape, classes),
        recipe=recipe,
        threshold=Clip() if clip else None,
    )


def _network(
    backbone: Backbone, shape: tuple[int, ...], classes: int, levels: int | None
) -> nn.Module:
    """The backbone, shown the Fourier features that tell `levels` apart, if it is any number."""
    if levels is None:
        return backbone.build(shape, classes)
    frequencies = frequencies_of(levels)
    channels, *space = shape
    wide = (widened(channels, frequencies), *space)
    return Fourier(backbone.build(wide, classes, channels), frequencies)
