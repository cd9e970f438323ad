"""Score-based generative modelling through stochastic differential equations."""

from typing import Literal

from hush.codecs import Range
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import EDM, Noise
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.objectives.weights import VLB, Simple
from hush.processes import GaussianProcess
from hush.samplers import PredictorCorrector, ReverseDiffusion
from hush.samplers.grids import Uniform
from hush.schedules import SubVP, VarianceExploding, VariancePreserving
from hush.system import Recipe, System, cited
from hush.systems.plain import drawn


@cited(
    "Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole 2021, Score-based generative modeling "
    "through stochastic differential equations, arXiv:2011.13456"
)
def score_sde(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(blocks=4),
    kind: Literal["vp", "ve", "subvp"] = "vp",
    likelihood: bool = False,
    corrections: int = 1,
    snr: float = 0.16,
    recipe: Recipe = Recipe(
        steps=1_300_000, batch=128, learning_rate=2e-4, warmup=5000, ema=0.9999
    ),
) -> System:
    """Score SDE: a diffusion in continuous time, reversed, with Langevin dynamics to correct it.

    dx = f x dt + g dw backwards is dx = [f x - g² s_θ(x, t)] dt + g dw, and the loss
    E λ(t) ‖s_θ(x_t, t) - ∇ log q(x_t | x_0)‖² with λ = σ², or ½ g² for likelihood.

    Args:
        shape: of one event, (channel, height, width) of pictures, (channel, length) of series.
        classes: names of the classes, if the data have them.
        backbone: the network.
        kind: the SDE: variance preserving (β from 0.1 to 20), exploding (σ from 0.01 to 50) or
            sub-VP.
        likelihood: weigh the loss as the bound of the likelihood does.
        corrections: Langevin updates after each step; 0 leaves the reverse diffusion alone.
        snr: signal-to-noise ratio of an update, its step being 2 (snr σ)².
        recipe: how it is trained.
    """
    schedules = {"vp": VariancePreserving(), "ve": VarianceExploding(), "subvp": SubVP()}
    says = EDM() if kind == "ve" else Noise()  # of loud noise a network is told the logarithm
    network = backbone.build(shape, len(classes))
    codec, task = drawn(shape, classes, Range())
    process = GaussianProcess(schedules[kind])
    return System(
        codec=codec,
        denoiser=GaussianDenoiser(process, network, says),
        objective=Denoising(VLB() if likelihood else Simple()),
        sampler=PredictorCorrector(ReverseDiffusion(), corrections, snr),
        grid=Uniform(1000),
        task=task,
        recipe=recipe,
    )
