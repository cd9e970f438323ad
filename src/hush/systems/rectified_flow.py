"""Rectified flow, also known as flow matching with straight paths."""

from hush.codecs import Range
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import Velocity
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.objectives.weights import Flow
from hush.processes import GaussianProcess
from hush.samplers import Ancestral
from hush.samplers.grids import Uniform
from hush.schedules import Rectified
from hush.system import Recipe, System, cited
from hush.systems.plain import drawn


@cited(
    "Liu, Gong, Liu 2023, Flow straight and fast, arXiv:2209.03003; "
    "Lipman et al. 2023, Flow matching for generative modeling, arXiv:2210.02747"
)
def rectified_flow(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(dropout=0.15),
    recipe: Recipe = Recipe(steps=600_000, batch=128, learning_rate=2e-4, warmup=5000, ema=0.9999),
) -> System:
    """Rectified flow: a straight line from data to noise, its velocity learned, followed by Euler.

    x_t = (1 - t) x_0 + t ε, loss E ‖(ε - x_0) - u_θ(x_t, t)‖², dx/dt = u_θ. The first flow; it is
    not straightened again.

    Args:
        shape: of one event, (channel, height, width) of pictures, (channel, length) of series.
        classes: names of the classes, if the data have them.
        backbone: the network.
        recipe: how it is trained.
    """
    network = backbone.build(shape, len(classes))
    codec, task = drawn(shape, classes, Range())
    return System(
        codec=codec,
        denoiser=GaussianDenoiser(GaussianProcess(Rectified()), network, Velocity()),
        objective=Denoising(Flow()),
        sampler=Ancestral(eta=0.0),  # on straight paths the same as Euler's method
        grid=Uniform(100),
        task=task,
        recipe=recipe,
    )
