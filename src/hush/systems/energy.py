"""An energy-based model, trained by denoising score matching."""

from hush.codecs import Standard
from hush.denoisers.conservative import Conservative
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
from hush.tasks import Generate


@cited(
    "Salimans, Ho 2021, Should EBMs model the energy or the score?, ICLR workshop on energy-based "
    "models; Song, Ermon 2019, Generative modeling by estimating gradients of the data "
    "distribution, arXiv:1907.05600"
)
def energy(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(),
    sigma_data: float = 0.5,
    sigma_max: float = 80.0,
    recipe: Recipe = Recipe(steps=200_000, batch=128, learning_rate=2e-4, warmup=5000, ema=0.9999),
) -> System:
    """Energy: a density known but for its constant, whose gradient is taught to denoise.

    Loss E w(σ) ‖σ ∇ log p̃_θ(x_0 + σ ε, σ) + ε‖²; `denoiser.log_density(x, t)` is log p̃_θ.

    Args:
        shape: of one event, (channel, height, width).
        classes: names of the classes, if the data have them.
        backbone: the network the energy is made of.
        sigma_data: standard deviation the data are scaled to.
        sigma_max: largest noise level.
        recipe: how it is trained.
    """
    network = backbone.build(shape, len(classes))
    process = GaussianProcess(NoiseLevel(sigma_max))
    return System(
        codec=Standard(sigma_data),
        denoiser=Conservative(process, network, Preconditioned(sigma_data)),
        objective=Denoising(Balanced(sigma_data), times=LogNormal()),
        sampler=Heun(Noise()),
        grid=Karras(18),
        task=Generate(shape, classes),
        recipe=recipe,
    )
