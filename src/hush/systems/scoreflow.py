"""Maximum-likelihood training of score models."""

from typing import Literal

from hush.codecs import Range
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import Noise
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.objectives.times import LogSNR
from hush.objectives.weights import Simple
from hush.processes import GaussianProcess
from hush.samplers import PredictorCorrector, ReverseDiffusion
from hush.samplers.grids import Uniform
from hush.schedules import SubVP, VariancePreserving
from hush.system import Recipe, System, cited
from hush.tasks import Generate


@cited(
    "Song, Durkan, Murray, Ermon 2021, Maximum likelihood training of score-based diffusion "
    "models, arXiv:2101.09258"
)
def scoreflow(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(blocks=4),
    kind: Literal["vp", "subvp"] = "vp",
    shortest: float = 1e-3,
    recipe: Recipe = Recipe(
        steps=1_300_000, batch=128, learning_rate=2e-4, warmup=5000, ema=0.9999
    ),
) -> System:
    """ScoreFlow: a score model whose loss is a bound of the likelihood, so that its flow explains
    the data well.

    -log p(x_0) ≤ ½ ∫ g² (‖s_θ - ∇log q‖² - ‖∇log q‖²) dt + … = ½ ∫ E ‖ε - ε_θ‖² dλ + …, with λ the
    log-SNR: drawing it evenly is the importance sampling that makes the weight constant.

    Args:
        shape: of one event, (channel, height, width).
        classes: names of the classes, if the data have them.
        backbone: the network.
        kind: the SDE: variance preserving (β from 0.1 to 20) or sub-VP.
        shortest: the time from which the bound is trained.
        recipe: how it is trained.
    """
    schedule = SubVP() if kind == "subvp" else VariancePreserving()
    network = backbone.build(shape, len(classes))
    return System(
        codec=Range(),
        denoiser=GaussianDenoiser(GaussianProcess(schedule), network, Noise()),
        objective=Denoising(Simple(), times=LogSNR(shortest)),
        sampler=PredictorCorrector(ReverseDiffusion()),
        grid=Uniform(1000),
        task=Generate(shape, classes),
        recipe=recipe,
    )
