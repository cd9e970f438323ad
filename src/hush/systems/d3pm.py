"""Structured denoising diffusion in discrete state spaces."""

from typing import Literal

from hush.codecs import Levels
from hush.denoisers import CategoricalDenoiser
from hush.networks import Backbone
from hush.networks.tokens import Nominal, Ordinal, TokenNetwork
from hush.objectives import Denoising, Hybrid, Variational
from hush.objectives.weights import Unit
from hush.processes import CategoricalProcess
from hush.processes.kernels import Absorbing, DiscretisedGaussian, MaskAndReplace, Uniform
from hush.samplers import Ancestral
from hush.samplers.grids import Chain
from hush.schedules import Tabulated, absorbing_betas, cosine_betas
from hush.system import Recipe, System, cited
from hush.tasks import Generate


@cited(
    "Austin, Johnson, Ho, Tarlow, van den Berg 2021, Structured denoising diffusion models in "
    "discrete state-spaces, arXiv:2107.03006; "
    "mask_and_replace: Gu et al. 2022, Vector quantized diffusion model for text-to-image "
    "synthesis, arXiv:2111.14822"
)
def d3pm(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(),
    levels: int = 256,
    kernel: Literal["gaussian", "uniform", "absorbing", "mask_and_replace"] = "gaussian",
    chain: int = 1000,
    logistic: bool = True,
    auxiliary: float = 0.001,
    recipe: Recipe = Recipe(steps=1_500_000, batch=128, learning_rate=2e-4, warmup=0, ema=0.9999),
) -> System:
    """D3PM: pixels as tokens that jump from level to level, walked back by Bayes' rule.

    L_vb/T + auxiliary·E[-log p(x_0 | x_t)], p(x_s | x_t) ∝ Σ_{x_0} q(x_s, x_t | x_0) p̃(x_0), p̃ the
    network's softmax and p(x_0 | x_t) ∝ p̃(x_0) q(x_t | x_0). It is trained on T times that.

    Args:
        shape: of one event, (channel, height, width).
        classes: names of the classes, if the data have them.
        backbone: the network.
        levels: K, the values that each element of the data can take.
        kernel: where tokens go: to near levels, to any, into a mask, or into a mask or any.
        chain: T, steps of the chain.
        logistic: the network says where a level lies and how surely; else a number for each.
        auxiliary: share of the cross-entropy beside one step's part of the bound, as in their code.
        recipe: how it is trained.
    """
    process = _process(kernel, levels, chain)
    face = Ordinal(levels) if logistic else Nominal(levels)
    network = TokenNetwork.of(backbone, shape, face, len(classes))
    return System(
        codec=Levels(levels),
        denoiser=CategoricalDenoiser(process, network),
        objective=Hybrid(Variational(), Denoising(Unit()), auxiliary * chain),
        sampler=Ancestral(),
        grid=Chain(chain),
        task=Generate(shape, classes),
        recipe=recipe,
    )


def _process(kernel: str, levels: int, chain: int) -> CategoricalProcess:
    """Each kernel on the chain of its paper."""
    if kernel == "gaussian":
        return CategoricalProcess(Tabulated.linear(chain), DiscretisedGaussian(levels))
    if kernel == "uniform":
        return CategoricalProcess(Tabulated(cosine_betas(chain, power=1.0)), Uniform(levels))
    masking = Absorbing if kernel == "absorbing" else MaskAndReplace
    return CategoricalProcess(Tabulated(absorbing_betas(chain)), masking(levels + 1))
