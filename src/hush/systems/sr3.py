"""Super-resolution by repeated refinement."""

from hush.codecs import Range
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import NoiseOfLevel
from hush.guidance import Clip
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.objectives.times import Uniform
from hush.processes import GaussianProcess
from hush.samplers import Ancestral
from hush.samplers.grids import Chain
from hush.schedules import Tabulated
from hush.system import Recipe, System, cited
from hush.tasks.images import FromPicture, Upscale


@cited("Saharia et al. 2021, Image super-resolution via iterative refinement, arXiv:2104.07636")
def sr3(
    shape: tuple[int, ...],
    factor: int = 4,
    backbone: Backbone = Backbone(width=64, multipliers=(1, 2, 4, 8, 8), blocks=3, dropout=0.2),
    chain: int = 2000,
    beta_first: float = 2e-6,
    beta_last: float = 0.02,
    walked: int = 100,
    absolute: bool = False,
    recipe: Recipe = Recipe(steps=1_000_000, batch=256, learning_rate=1e-4, warmup=10_000),
) -> System:
    """SR3: the noise of a picture predicted beside the small picture, enlarged; so the large one is
    drawn, not averaged.

    E ‖ε - ε_θ(x, √γ y_0 + √(1-γ) ε, γ)‖, with γ between any two steps of the chain: the network is
    told γ in place of a step, and a shorter chain serves for drawing.

    Args:
        shape: of one large picture, (channel, height, width).
        factor: how many times larger than what is given.
        backbone: the network.
        chain: T, steps of the chain.
        beta_first: β_1 of a chain of 1000 steps (scaled by 1000/T for others).
        beta_last: β_T, likewise.
        walked: steps of the chain that drawing takes.
        absolute: |ε - ε_θ| in place of its square.
        recipe: how it is trained.
    """
    schedule = Tabulated.linear(chain, beta_first, beta_last)
    return refined(Upscale(shape, factor=factor), schedule, backbone, walked, absolute, recipe)


def refined(
    task: FromPicture,
    schedule: Tabulated,
    backbone: Backbone,
    walked: int,
    absolute: bool,
    recipe: Recipe,
) -> System:
    """The slots of SR3 for any task that makes a picture from another."""
    network = backbone.build(task.shape, given=task.shape[0])
    return System(
        codec=Range(),
        denoiser=GaussianDenoiser(GaussianProcess(schedule), network, NoiseOfLevel()),
        objective=Denoising(times=Uniform(between=True), cond_dropout=0.0, absolute=absolute),
        sampler=Ancestral(),
        grid=Chain(min(walked, schedule.steps)),
        task=task,
        recipe=recipe,
        threshold=Clip(),
    )
