"""Improved denoising diffusion: the cosine chain, and the prediction of v."""

from typing import Literal

from hush.codecs import Range
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import Noise, V
from hush.guidance import Clip
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.objectives.weights import Simple, SNRPlusOne
from hush.processes import GaussianProcess
from hush.samplers import Ancestral
from hush.samplers.grids import Chain
from hush.schedules import Tabulated
from hush.system import Recipe, System, cited
from hush.tasks import Generate


@cited(
    "Nichol, Dhariwal 2021, Improved denoising diffusion probabilistic models, arXiv:2102.09672; "
    "predict v: Salimans, Ho 2022, Progressive distillation, arXiv:2202.00512"
)
def improved_ddpm(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(blocks=3, attention=(1, 2), dropout=0.3),
    chain: int = 4000,
    predict: Literal["noise", "v"] = "noise",
    clip: bool = True,
    recipe: Recipe = Recipe(steps=500_000, batch=128, learning_rate=1e-4, warmup=0, ema=0.9999),
) -> System:
    """Improved DDPM's cosine chain, walked on a few of its steps, predicting the noise or v.

    ᾱ(u) = cos²((u + m)/(1 + m)·π/2)/cos²(m/(1 + m)·π/2), m = 0.008; the reverse variance is fixed.

    Args:
        shape: of one event, (channel, height, width).
        classes: names of the classes, if the data have them.
        backbone: the network.
        chain: T, steps of the chain.
        predict: what the network says: the noise, or v = α ε - σ x_0 with its own loss.
        clip: hold x̂_0 to the data's range while sampling.
        recipe: how it is trained.
    """
    network = backbone.build(shape, len(classes))
    process = GaussianProcess(Tabulated.cosine(chain))
    says, weight = (V(), SNRPlusOne()) if predict == "v" else (Noise(), Simple())
    return System(
        codec=Range(),
        denoiser=GaussianDenoiser(process, network, says),
        objective=Denoising(weight),
        sampler=Ancestral(eta=1.0),
        grid=Chain(min(100, chain)),
        task=Generate(shape, classes),
        recipe=recipe,
        threshold=Clip() if clip else None,
    )
