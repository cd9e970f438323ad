"""Anomaly detection by a chain of smooth noise."""

from typing import Literal

from hush.codecs import Range
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import Noise
from hush.guidance import Clip
from hush.networks import Backbone
from hush.noise import Simplex, White
from hush.objectives import Denoising
from hush.objectives.weights import Simple
from hush.processes import GaussianProcess
from hush.samplers import Ancestral
from hush.samplers.grids import Chain
from hush.schedules import Tabulated
from hush.system import Recipe, System, cited
from hush.tasks import Generate


@cited(
    "Wyatt, Leach, Schmon, Willcocks 2022, AnoDDPM: anomaly detection with denoising diffusion "
    "probabilistic models using simplex noise"
)
def anoddpm(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(
        multipliers=(1, 1, 2, 2, 4, 4), attention=(4, 5), head=256, dropout=0.0
    ),
    noise: Literal["simplex", "white"] = "simplex",
    frequency: float = 64.0,
    octaves: int = 6,
    persistence: float = 0.8,
    chain: int = 1000,
    beta_first: float = 1e-4,
    beta_last: float = 0.02,
    recipe: Recipe = Recipe(steps=300_000, batch=1, learning_rate=1e-4, warmup=0, ema=0.9999),
) -> System:
    """AnoDDPM: the chain of DDPM with noise that is smooth over many pixels, taught by healthy
    pictures alone. A picture noised part of the way and walked back is what a healthy one in its
    place would be, and `hush.tasks.detect` tells where they differ.

    L = E ‖ε - ε_θ(√ᾱ_t x_0 + √(1-ᾱ_t) ε, t)‖² with ε of octaves of simplex noise, of variance one
    at each pixel. It hides what is large, as white noise of that variance does not: that leaves the
    mean over n pixels known to √(1/n) of it. Not being Gaussian, it makes q(x_s | x_t, x_0) right
    in mean and covariance only, and gives no likelihood. The default network is for 256x256
    pictures, and attends to 16x16 and 8x8 places.

    Args:
        shape: of one event, (channel, height, width).
        classes: names of the classes, if the data have them.
        backbone: the network.
        noise: what the chain adds; white is DDPM's, to compare with.
        frequency: pixels of the largest bumps of simplex noise; each octave halves them.
        octaves: how many sizes of bumps.
        persistence: how loud each octave is beside the one before.
        chain: T, steps of the chain.
        beta_first: β_1 of a chain of 1000 steps (scaled by 1000/T for others).
        beta_last: β_T, likewise.
        recipe: how it is trained.
    """
    law = Simplex(frequency, octaves, persistence) if noise == "simplex" else White()
    process = GaussianProcess(Tabulated.linear(chain, beta_first, beta_last), law)
    return System(
        codec=Range(),
        denoiser=GaussianDenoiser(process, backbone.build(shape, len(classes)), Noise()),
        objective=Denoising(Simple()),
        sampler=Ancestral(),
        grid=Chain(chain),
        task=Generate(shape, classes),
        recipe=recipe,
        threshold=Clip(),
    )
