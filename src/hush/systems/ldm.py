"""Latent diffusion."""

from hush.codecs import Latent
from hush.denoisers import Decoded, GaussianDenoiser
from hush.denoisers.parameterisations import Noise
from hush.errors import UserError
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.processes import GaussianProcess
from hush.samplers import Ancestral
from hush.samplers.grids import Chain
from hush.schedules import Tabulated, quadratic_betas
from hush.system import Recipe, System, cited
from hush.systems.taken import Taken
from hush.tasks import Generate


@cited(
    "Rombach, Blattmann, Lorenz, Esser, Ommer 2022, High-resolution image synthesis with latent "
    "diffusion models, arXiv:2112.10752"
)
def ldm(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    autoencoder: Taken = Taken(),
    backbone: Backbone = Backbone(width=224, multipliers=(1, 2, 3, 4), attention=(1, 2, 3)),
    chain: int = 1000,
    beta_first: float = 0.0015,
    beta_last: float = 0.0195,
    walked: int = 200,
    recipe: Recipe = Recipe(steps=500_000, batch=48, learning_rate=9.6e-5, warmup=10_000),
) -> System:
    """LDM: a chain over the latents of an autoencoder that has learnt the data before. There are
    fewer of them than pixels, so a step costs less; the autoencoder draws what is fine.

    E ‖ε - ε_θ(α_t z + σ_t ε, t, class)‖², z with mean 0 and variance 1 in every channel. A class
    is a vector added to that of the time: cross-attention to a single token is no more, its softmax
    being 1.

    Args:
        shape: of one picture, (channel, height, width).
        classes: names of the classes, if the data have them.
        autoencoder: what `hush train autoencoder` has learnt of such data: its run.
        backbone: the network over latents.
        chain: T, steps of the chain, whose √β_t rise evenly.
        beta_first: β_1 of a chain of 1000 steps (scaled by 1000/T for others).
        beta_last: β_T, likewise.
        walked: steps that drawing takes, deterministic ones.
        recipe: how it is trained.
    """
    if not autoencoder:
        raise UserError(
            "ldm draws in the latents of an autoencoder: train one on the same data first, `hush "
            "train autoencoder --data DATA --out RUN`, and name its run, --autoencoder RUN."
        )
    first = autoencoder.system()
    if not isinstance(first.denoiser, Decoded):
        raise UserError(f"--autoencoder wants the run of an autoencoder, got one of {first.name}.")
    if tuple(first.task.shape) != tuple(shape):
        raise UserError(
            f"The autoencoder is of pictures {tuple(first.task.shape)}, the data are {tuple(shape)}"
            ": train one on the same data, read in the same way."
        )
    codec = Latent(first.codec, first.denoiser.network)
    network = backbone.build(codec.event(shape), len(classes))
    scale = 1000.0 / chain
    schedule = Tabulated(quadratic_betas(chain, scale * beta_first, scale * beta_last))
    return System(
        codec=codec,
        denoiser=GaussianDenoiser(GaussianProcess(schedule), network, Noise()),
        objective=Denoising(),
        sampler=Ancestral(eta=0.0),
        grid=Chain(min(walked, chain)),
        task=Generate(shape, classes),
        recipe=recipe,
    )
