"""Noise-conditional score networks."""

from hush.codecs import Range
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import Noise
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.objectives.score_matching import Geometric
from hush.objectives.weights import Simple
from hush.processes import GaussianProcess
from hush.samplers import AnnealedLangevin
from hush.samplers.grids import LogSNR
from hush.schedules import VarianceExploding
from hush.system import Recipe, System, cited
from hush.tasks import Generate


@cited(
    "Song, Ermon 2019, Generative modeling by estimating gradients of the data distribution, "
    "arXiv:1907.05600"
)
def ncsn(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(),
    noise_levels: int = 10,
    sigma_max: float = 2.0,
    sigma_min: float = 0.02,
    updates: int = 100,
    step_size: float = 0.2,
    recipe: Recipe = Recipe(steps=200_000, batch=128, learning_rate=1e-3, warmup=0, ema=0.999),
) -> System:
    """NCSN: the data's score at a few noise levels, climbed by Langevin dynamics level by level.

    Loss 1/L Σ_i σ_i² E ‖s_θ(x_0 + σ_i ε, σ_i) + ε/σ_i‖², σ_1 > … > σ_L geometric; at each level
    after the first x ← x + ½ δσ_i² s_θ(x, σ_i) + √δ σ_i z, many times. The paper's σ of 1 to 0.01
    are of data in [0, 1]; here the data are in [-1, 1].

    Args:
        shape: of one event, (channel, height, width).
        classes: names of the classes, if the data have them.
        backbone: the network.
        noise_levels: L, how many there are.
        sigma_max: σ_1, the loudest; far apart data want it as large as their distances.
        sigma_min: σ_L, the quietest.
        updates: Langevin updates at each level.
        step_size: δ, their step in units of σ_i²; the paper's ϵ/σ_L² = 2e-5/0.01².
        recipe: how it is trained.
    """
    network = backbone.build(shape, len(classes))
    schedule = VarianceExploding(sigma_min, sigma_max)
    return System(
        codec=Range(),
        denoiser=GaussianDenoiser(GaussianProcess(schedule), network, Noise()),
        objective=Denoising(Simple(), times=Geometric(noise_levels, sigma_min)),
        sampler=AnnealedLangevin(updates, step_size),
        grid=LogSNR(noise_levels, sigma_min),
        task=Generate(shape, classes),
        recipe=recipe,
    )
