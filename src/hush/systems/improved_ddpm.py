"""Improved denoising diffusion: the cosine chain, and variances that are learned."""

from typing import Literal

from hush.codecs import Range
from hush.denoisers import GaussianDenoiser
from hush.denoisers.variances import Interpolated, Unit, Zero
from hush.guidance import Clip
from hush.likelihoods.decoders import Binned, Decoder, Density
from hush.networks import Backbone
from hush.objectives import Denoising, Hybrid, Objective, Variational
from hush.objectives.times import LossAware
from hush.processes import GaussianProcess
from hush.samplers import Ancestral
from hush.samplers.grids import Chain
from hush.schedules import Tabulated
from hush.system import Recipe, System, cited
from hush.systems.predicted import PREDICTED, Predicted
from hush.tasks import Generate

VARIANCES = {"learned": Interpolated(), "small": Zero(), "large": Unit()}


@cited(
    "Nichol, Dhariwal 2021, Improved denoising diffusion probabilistic models, arXiv:2102.09672; "
    "predict v: Salimans, Ho 2022, Progressive distillation, arXiv:2202.00512"
)
def improved_ddpm(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(blocks=3, attention=(1, 2), dropout=0.3),
    levels: int | None = 256,
    chain: int = 4000,
    predict: Predicted = "noise",
    variance: Literal["learned", "small", "large"] = "learned",
    loss: Literal["hybrid", "bound"] = "hybrid",
    clip: bool = True,
    recipe: Recipe = Recipe(steps=500_000, batch=128, learning_rate=1e-4, warmup=0, ema=0.9999),
) -> System:
    """Improved DDPM's cosine chain, its reverse variances learned, walked on a few of its steps.

    ᾱ(u) = cos²((u + m)/(1 + m)·π/2)/cos²(m/(1 + m)·π/2), m = 0.008;
    σ_t² = exp(v log β_t + (1 - v) log β̃_t); L_simple + 0.001 L_vlb, L_vlb teaching v alone.

    Args:
        shape: of one event, (channel, height, width).
        classes: names of the classes, if the data have them.
        backbone: the network.
        levels: how many levels the data have, None if they are continuous.
        chain: T, steps of the chain.
        predict: what the network says: the noise, or v = α ε - σ x_0 with its own loss.
        variance: of a reverse step: learned, or one of the fixed β̃ (small) and β (large).
        loss: hybrid, or the bound alone, its steps drawn as their losses are large.
        clip: hold x̂_0 to the data's range while sampling.
        recipe: how it is trained.
    """
    told = VARIANCES[variance]
    network = backbone.build(shape, len(classes), shape[0] * (1 + told.heads))
    process = GaussianProcess(Tabulated.cosine(chain))
    decoder = Binned(2.0 / (levels - 1)) if levels else Density()
    return System(
        codec=Range(),
        denoiser=GaussianDenoiser(process, network, PREDICTED[predict][0], told),
        objective=_objective(predict, variance, loss, decoder, chain),
        sampler=Ancestral(eta=1.0, settle=True),
        grid=Chain(min(100, chain)),
        task=Generate(shape, classes),
        recipe=recipe,
        threshold=Clip() if clip else None,
    )


def _objective(
    predict: Predicted, variance: str, loss: str, decoder: Decoder, chain: int
) -> Objective:
    if loss == "bound":
        return Variational(decoder, times=LossAware(chain))
    simple = Denoising(PREDICTED[predict][1])
    if variance != "learned":
        return simple
    return Hybrid(simple, Variational(decoder, only_variance=True))
