"""Denoising diffusion implicit models."""

from dataclasses import replace

from hush.networks import Backbone
from hush.samplers import Ancestral
from hush.samplers.grids import Chain
from hush.system import Recipe, System, cited
from hush.systems.ddpm import ddpm


@cited("Song, Meng, Ermon 2021, Denoising diffusion implicit models, arXiv:2010.02502")
def ddim(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(),
    chain: int = 1000,
    beta_first: float = 1e-4,
    beta_last: float = 0.02,
    eta: float = 0.0,
    clip: bool = True,
    recipe: Recipe = Recipe(steps=800_000, batch=128, learning_rate=2e-4, warmup=5000, ema=0.9999),
) -> System:
    """DDIM: a DDPM, trained just the same, walked in few steps with less or none of the noise.

    x_s = α_s x̂_0 + √(σ_s² - f) ε̂ + √f z, f = eta² times the variance of DDPM's own step.

    Args:
        shape: of one event, (channel, height, width) of pictures, (channel, length) of series.
        classes: names of the classes, if the data have them.
        backbone: the network.
        chain: T, steps of the chain.
        beta_first: β_1 of a chain of 1000 steps (scaled by 1000/T for others).
        beta_last: β_T, likewise.
        eta: share of DDPM's fresh noise; 0 is deterministic.
        clip: hold x̂_0 to the data's range while sampling, of pictures.
        recipe: how it is trained.
    """
    made = ddpm(shape, classes, backbone, chain, beta_first, beta_last, clip, recipe)
    return replace(made, sampler=Ancestral(eta), grid=Chain(min(50, chain)))
