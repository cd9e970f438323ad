"""An autoencoder: pictures to a few numbers for each place, and back."""

from typing import Literal

from hush.codecs import Range
from hush.denoisers import Decoded
from hush.networks import VAE, VQVAE, PatchCritic
from hush.objectives import Reconstruction
from hush.samplers import Ancestral, grids
from hush.system import Recipe, System, cited
from hush.tasks import Generate


@cited(
    "Kingma, Welling 2014, Auto-encoding variational Bayes; van den Oord, Vinyals, Kavukcuoglu "
    "2017, Neural discrete representation learning; Rombach et al. 2022, High-resolution image "
    "synthesis with latent diffusion models, arXiv:2112.10752"
)
def autoencoder(
    shape: tuple[int, ...],
    kind: Literal["kl", "vq"] = "kl",
    width: int = 128,
    multipliers: tuple[int, ...] = (1, 2, 4),
    blocks: int = 2,
    latent: int = 4,
    entries: int = 8192,
    kl_weight: float = 1e-6,
    adversarial: float = 0.0,
    critic: int = 64,
    recipe: Recipe = Recipe(
        steps=500_000, batch=16, learning_rate=7.2e-5, warmup=1000, ema=0.999, decay="constant"
    ),
) -> System:
    """The first stage of latent diffusion: what `ldm` draws in. Each resolution after the first
    halves the sides, so three make 4 by 4 pixels one place of the latent.

    Learnt is -log p(x | z), a Gaussian whose variance is learnt too, with a little KL to N(0, I)
    ("kl") or through a codebook ("vq"). With `adversarial` it is learnt against a critic of patches
    too, as in the paper, which wants grain where the mean would be a blur. Shown on the way are
    held-out pictures and what is left of them. The paper's perceptual term is left out: it needs
    another network's weights.

    Args:
        shape: of one picture, (channel, height, width).
        kind: numbers, or entries of a codebook.
        width: channels of the first resolution.
        multipliers: width of each resolution, in units of `width`.
        blocks: residual blocks per resolution.
        latent: numbers per place of the latent.
        entries: of the codebook.
        kl_weight: what a nat of KL costs, to a nat of the data's 1.
        adversarial: how hard the critic pulls at a picture, to fidelity's 1; 0 is without one. At a
            below 1 the squared error grows to 1/(1 - a²) times the least at most.
        critic: channels of the critic's first layer.
        recipe: how it is trained.
    """
    sizes = (shape, width, multipliers, latent, blocks)
    network = VQVAE(*sizes, entries) if kind == "vq" else VAE(*sizes)
    judge = PatchCritic(shape[0], critic, dims=len(shape) - 1) if adversarial else None
    return System(
        codec=Range(),
        denoiser=Decoded(network, judge),
        objective=Reconstruction(
            kl_weight=kl_weight if kind == "kl" else 0.0, adversarial=adversarial
        ),
        sampler=Ancestral(),
        grid=grids.Uniform(1),
        task=Generate(shape),
        recipe=recipe,
    )
