"""Autoregressive diffusion: the elements of a picture in any order."""

import math

from hush.codecs import Levels
from hush.denoisers import CategoricalDenoiser
from hush.networks import Backbone
from hush.networks.tokens import Nominal, Ordinal, TokenNetwork
from hush.objectives.order_agnostic import OrderAgnostic as EveryOrder
from hush.processes import CategoricalProcess
from hush.processes.kernels import Absorbing
from hush.samplers.grids import Chain
from hush.samplers.order_agnostic import OrderAgnostic
from hush.schedules import Tabulated, absorbing_betas
from hush.system import Recipe, System, cited
from hush.tasks import Generate


@cited(
    "Hoogeboom, Gritsenko, Bastings, Poole, van den Berg, Salimans 2022, Autoregressive diffusion "
    "models, arXiv:2110.02037"
)
def ardm(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    backbone: Backbone = Backbone(
        width=256, multipliers=(1,), blocks=32, attention=(0,), head=256, dropout=0.0
    ),
    levels: int = 256,
    logistic: bool = False,
    recipe: Recipe = Recipe(
        steps=2_300_000, batch=128, learning_rate=1e-4, warmup=5000, clip=100.0, ema=0.9999
    ),
) -> System:
    """Order-agnostic ARDM: guess hidden elements from shown ones, whichever these are; show them
    one after the other in a random order, or several at once.

    E_t 1/(D - t + 1) Σ_{k ∈ σ(≥t)} -log p(x_k | x_σ(<t)), t ~ U{1…D}, σ a random order.

    Args:
        shape: of one event, (channel, height, width).
        classes: names of the classes, if the data have them.
        backbone: the network.
        levels: the values that each element of the data can take.
        logistic: the network says where a level lies and how surely; else a number for each.
        recipe: how it is trained.
    """
    elements = math.prod(shape)
    process = CategoricalProcess(Tabulated(absorbing_betas(elements)), Absorbing(levels + 1))
    face = Ordinal(levels) if logistic else Nominal(levels)
    network = TokenNetwork.of(backbone, shape, face, len(classes))
    return System(
        codec=Levels(levels),
        denoiser=CategoricalDenoiser(process, network),
        objective=EveryOrder(),
        sampler=OrderAgnostic(),
        grid=Chain(elements),
        task=Generate(shape, classes),
        recipe=recipe,
    )
