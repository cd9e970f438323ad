"""Conditional multi-speed diffusive estimation: a picture and what is given of it, noised at
speeds of their own."""

import math

from hush.codecs import Range
from hush.denoisers import DiffusedCondition, ProductDenoiser
from hush.denoisers.parameterisations import EDM
from hush.networks import Backbone
from hush.objectives.joint import Joint
from hush.objectives.times import Uniform
from hush.processes import GaussianProcess, Process, ProductProcess
from hush.processes.product import Still
from hush.samplers import PredictorCorrector, ReverseDiffusion, grids
from hush.schedules import VarianceExploding
from hush.system import Recipe, System, cited
from hush.tasks.images import Upscale


@cited(
    "Batzolis, Stanczuk, Schönlieb, Etmann 2021, Conditional image generation with score-based "
    "diffusion models, arXiv:2111.13606"
)
def cmde(
    shape: tuple[int, ...],
    factor: int = 4,
    backbone: Backbone = Backbone(width=96, multipliers=(1, 1, 2, 2, 3, 3)),
    sigma_x: float | None = None,
    sigma_y: float = 0.5,
    sigma_min: float = 0.005,
    recipe: Recipe = Recipe(learning_rate=2e-4),
) -> System:
    """CMDE: the score of a picture x and of what is given of it, y, both noised, y the less; to
    draw x, y is noised as it was in training and the network's score of x followed.

    ∇ log p(x_t | y) ≈ s_x(x_t, y_t, t), y_t ~ q(y_t | y), learnt by the likelihood-weighted loss of
    both. With σ_y = 0 the network sees y itself (CDE, the estimator of SR3); with that of x both
    are noised alike (CDiffE).

    Args:
        shape: of one large picture, (channel, height, width).
        factor: how many times larger than what is given.
        backbone: the network.
        sigma_x: largest noise of x; without one the root of the number of its elements.
        sigma_y: largest noise of y; 0 shows it clean.
        sigma_min: σ_min of both.
        recipe: how it is trained.
    """
    loudest = math.prod(shape) ** 0.5 if sigma_x is None else sigma_x
    speed = VarianceExploding(sigma_min, loudest)
    given: Process = Still()
    if sigma_y > 0.0:
        given = GaussianProcess(VarianceExploding(sigma_min, sigma_y))
    process = ProductProcess({"x": GaussianProcess(speed), "y": given})
    network = backbone.build((2 * shape[0], *shape[1:]))
    return System(
        codec=Range(),
        denoiser=DiffusedCondition(ProductDenoiser(process, network, EDM())),
        objective=Joint(times=Uniform(speed.at_ratio(sigma_min).time)),
        sampler=PredictorCorrector(ReverseDiffusion(), snr=0.15),
        grid=grids.Uniform(1000),
        task=Upscale(shape, factor=factor),
        recipe=recipe,
    )
