"""Super-resolution of what is missing."""

from hush.codecs import Residual
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import Noise
from hush.guidance import Clip
from hush.networks import Backbone
from hush.networks.rrdb import RRDB
from hush.objectives import Denoising
from hush.processes import GaussianProcess
from hush.samplers import Ancestral
from hush.samplers.grids import Chain
from hush.schedules import Tabulated
from hush.system import Recipe, System, cited
from hush.tasks.images import Upscale


@cited(
    "Li et al. 2022, SRDiff: single image super-resolution with diffusion probabilistic models, "
    "arXiv:2104.14951"
)
def srdiff(
    shape: tuple[int, ...],
    factor: int = 4,
    backbone: Backbone = Backbone(width=64, multipliers=(1, 2, 2, 4)),
    features: int = 32,
    groups: int = 8,
    chain: int = 100,
    gain: float = 2.0,
    absolute: bool = True,
    recipe: Recipe = Recipe(steps=300_000, batch=16, learning_rate=2e-4, warmup=0),
) -> System:
    """SRDiff: the chain is over gain·(large - enlarged), what the small picture does not show; the
    network sees features of the small one. E |ε - ε_θ(x_t, features, t)|.

    The features are those of an `RRDB`, learnt together with the rest; the paper trains it
    beforehand.

    Args:
        shape: of one large picture, (channel, height, width).
        factor: how many times larger than what is given.
        backbone: the network.
        features: channels of what is made of the small picture.
        groups: residual groups that make them.
        chain: T, steps of the cosine chain.
        gain: what the residual is multiplied with.
        absolute: |ε - ε_θ|; otherwise its square.
        recipe: how it is trained.
    """
    encoder = RRDB(shape[0], features, groups, factor)
    network = backbone.build(shape, given=features, encoder=encoder)
    return System(
        codec=Residual(gain),
        denoiser=GaussianDenoiser(GaussianProcess(Tabulated.cosine(chain)), network, Noise()),
        objective=Denoising(cond_dropout=0.0, absolute=absolute),
        sampler=Ancestral(),
        grid=Chain(chain),
        task=Upscale(shape, factor=factor),
        recipe=recipe,
        threshold=Clip(),
    )
