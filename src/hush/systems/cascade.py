"""A stage of a cascade: larger pictures from those that another model has drawn."""

from hush.codecs import Range
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import Noise
from hush.guidance import Clip
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.processes import GaussianProcess
from hush.samplers import Ancestral
from hush.samplers.grids import Chain
from hush.schedules import Tabulated
from hush.system import Recipe, System, cited
from hush.tasks.images import LEVEL, Stage


@cited(
    "Ho, Saharia, Chan, Fleet, Norouzi, Salimans 2022, Cascaded diffusion models for high fidelity "
    "image generation, arXiv:2106.15282"
)
def cascade(
    shape: tuple[int, ...],
    factor: int = 2,
    backbone: Backbone = Backbone(width=128, multipliers=(1, 2, 4, 4), attention=()),
    chain: int = 2000,
    loudest: float = 0.5,
    walked: int = 100,
    recipe: Recipe = Recipe(steps=500_000, batch=256, learning_rate=1e-4, warmup=10_000),
) -> System:
    """CDM: a chain of models, each of which draws pictures `factor` times larger than it is given.
    This is any but the first, which draws small pictures from nothing (`ddpm`, `improved_ddpm`).

    In training what is given has noise of a level s between 0 and `loudest`, and the network is
    told s (conditioning augmentation): E ‖ε - ε_θ(x_t, z_s, s, t)‖². So what the stage before got
    wrong can be hidden in noise; `hush upscale --level` says in how much.

    Args:
        shape: of one large picture, (channel, height, width).
        factor: how many times larger than what is given.
        backbone: the network.
        chain: T, steps of the linear chain.
        loudest: the largest level of the noise in what is given.
        walked: steps of the chain that drawing takes.
        recipe: how it is trained.
    """
    network = backbone.build(shape, given=shape[0], features={LEVEL: 1})
    return System(
        codec=Range(),
        denoiser=GaussianDenoiser(GaussianProcess(Tabulated.linear(chain)), network, Noise()),
        objective=Denoising(cond_dropout=0.0),
        sampler=Ancestral(),
        grid=Chain(min(walked, chain)),
        task=Stage(shape, factor=factor, loudest=loudest),
        recipe=recipe,
        threshold=Clip(),
    )
