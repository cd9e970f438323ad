"""Denoising diffusion probabilistic models."""

from hush.codecs import Range
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import Noise
from hush.guidance import Clip
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.objectives.weights import Simple
from hush.processes import GaussianProcess
from hush.samplers import Ancestral
from hush.samplers.grids import Chain
from hush.schedules import Tabulated
from hush.system import Recipe, System, cited
from hush.systems.plain import drawn


@cited("Ho, Jain, Abbeel 2020, Denoising diffusion probabilistic models, arXiv:2006.11239")
def ddpm(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(),
    chain: int = 1000,
    beta_first: float = 1e-4,
    beta_last: float = 0.02,
    clip: bool = True,
    recipe: Recipe = Recipe(steps=800_000, batch=128, learning_rate=2e-4, warmup=5000, ema=0.9999),
) -> System:
    """DDPM: a chain of small noisings, its noise predicted, walked back step by step.

    L_simple = E ‖ε - ε_θ(√ᾱ_t x_0 + √(1-ᾱ_t) ε, t)‖², x_s drawn from q(x_s | x_t, x̂_0).

    Args:
        shape: of one event, (channel, height, width) of pictures, (channel, length) of series.
        classes: names of the classes, if the data have them.
        backbone: the network.
        chain: T, steps of the chain.
        beta_first: β_1 of a chain of 1000 steps (scaled by 1000/T for others).
        beta_last: β_T, likewise.
        clip: hold x̂_0 to the data's range while sampling, of pictures.
        recipe: how it is trained.
    """
    schedule = Tabulated.linear(chain, beta_first, beta_last)
    network = backbone.build(shape, len(classes))
    codec, task = drawn(shape, classes, Range())
    return System(
        codec=codec,
        denoiser=GaussianDenoiser(GaussianProcess(schedule), network, Noise()),
        objective=Denoising(Simple()),
        sampler=Ancestral(eta=1.0),
        grid=Chain(chain),
        task=task,
        recipe=recipe,
        threshold=Clip() if clip and codec.bounded else None,
    )
