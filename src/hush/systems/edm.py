"""EDM: the design space elucidated."""

from hush.codecs import Standard
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import EDM as Preconditioned
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.objectives.times import LogNormal
from hush.objectives.weights import EDM as Balanced
from hush.processes import GaussianProcess
from hush.samplers import Heun
from hush.samplers.bases import Noise
from hush.samplers.grids import Karras
from hush.schedules import EDM as NoiseLevel
from hush.system import Recipe, System, cited
from hush.systems.plain import drawn


@cited(
    "Karras, Aittala, Aila, Laine 2022, Elucidating the design space of diffusion-based generative "
    "models, arXiv:2206.00364"
)
def edm(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(multipliers=(2, 2, 2), blocks=4, attention=(1,), dropout=0.13),
    sigma_data: float = 0.5,
    sigma_max: float = 80.0,
    log_sigma_mean: float = -1.2,
    log_sigma_deviation: float = 1.2,
    recipe: Recipe = Recipe(
        steps=390_000, batch=512, learning_rate=1e-3, warmup=19_500, ema=0.9993
    ),
) -> System:
    """EDM: noise added without shrinking the data, a preconditioned network, Heun on Karras's grid.

    D(x; σ) = c_skip x + c_out F(c_in x, ln(σ)/4), loss λ(σ) ‖D - x_0‖², ln σ ~ N(mean, deviation²).

    Args:
        shape: of one event, (channel, height, width) of pictures, (channel, length) of series.
        classes: names of the classes, if the data have them.
        backbone: the network.
        sigma_data: standard deviation the data are scaled to.
        sigma_max: largest noise level.
        log_sigma_mean: mean of ln σ in training.
        log_sigma_deviation: standard deviation of ln σ in training.
        recipe: how it is trained.
    """
    network = backbone.build(shape, len(classes))
    codec, task = drawn(shape, classes, Standard(sigma_data), sigma_data)
    process = GaussianProcess(NoiseLevel(sigma_max))
    return System(
        codec=codec,
        denoiser=GaussianDenoiser(process, network, Preconditioned(sigma_data)),
        objective=Denoising(
            Balanced(sigma_data), times=LogNormal(log_sigma_mean, log_sigma_deviation)
        ),
        sampler=Heun(Noise()),
        grid=Karras(18),
        task=task,
        recipe=recipe,
    )
