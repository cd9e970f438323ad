"""Networks that learn the answer directly: what a diffusion of the same size is read against.

spoilt ─ fit_regression ─► the mean or the median of what it may have been
whole ─ fit_autoencoder ─► itself, through a narrow latent: what it cannot repeat is an anomaly
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hush.errors import UserError
from hush.evaluation.fitting import fit
from hush.networks import VAE, Backbone
from hush.rng import derive

_CHUNK = 256  # pictures seen at once where no gradient is kept
_SMALLEST = 4  # sides of an autoencoder's latent are at most these

Images = Float[Tensor, "_ channel height width"]


class Regression(nn.Module):
    """(1 + network(2 x - 1))/2: pictures in [0, 1] to pictures, by a network whose clock stands
    at 0."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, spoilt: Float[Tensor, "batch _ height width"]) -> Images:
        clock = spoilt.new_zeros(len(spoilt))
        return 0.5 + 0.5 * self.network(2.0 * spoilt - 1.0, clock)


class Repeater(nn.Module):
    """(1 + D(E(2 x - 1)))/2: pictures in [0, 1] through a latent of `latent` channels whose sides
    are halved down to 4 pixels or fewer."""

    def __init__(self, shape: tuple[int, int, int], width: int = 16, latent: int = 4) -> None:
        super().__init__()
        halvings = max(1, math.ceil(math.log2(max(shape[1:]) / _SMALLEST)))
        self.network = VAE(shape, width, (1,) + halvings * (2,), latent)

    def forward(self, images: Images) -> Images:
        return 0.5 + 0.5 * self.network(2.0 * images - 1.0)


def fit_regression(
    backbone: Backbone,
    spoilt: Float[Tensor, "_ _ height width"],
    whole: Images,
    seed: int = 0,
    steps: int = 600,
    batch: int = 32,
    learning_rate: float = 2e-3,
    power: Literal[1, 2] = 1,
) -> Regression:
    """The backbone's network, taught by mean |network(spoilt) - whole|^power: `power` 2 seeks the
    mean of all wholes that a spoilt picture may have been, 1 their median, element by element.

    `spoilt` are pictures as large as `whole` (enlarge a low resolution first), with as many
    channels as it takes to say what is asked, a mask too. Same seed, same machine, same weights;
    the answer stands on the device of `spoilt`, frozen. Raises `UserError` for pictures that do not
    fit each other. Saharia et al. 2022, "Image super-resolution via iterative refinement", compare
    with one.
    """
    if len(spoilt) != len(whole) or spoilt.shape[2:] != whole.shape[2:] or not len(whole):
        raise UserError(
            f"fit_regression got spoilt pictures of {tuple(spoilt.shape)} and whole ones of "
            f"{tuple(whole.shape)}; expected the same number, one or more, and the same sides."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "regression weights"))
        inner = backbone.build(tuple(spoilt.shape[1:]), out_channels=whole.shape[1])
    network, whole = Regression(inner).to(spoilt.device), whole.to(spoilt)

    def loss(chosen: Tensor) -> Tensor:
        return (network(spoilt[chosen]) - whole[chosen]).abs().pow(power).mean()

    fit(network, loss, len(whole), seed, steps, batch, learning_rate)
    return network


def fit_autoencoder(
    images: Images,
    seed: int = 0,
    steps: int = 600,
    batch: int = 32,
    learning_rate: float = 2e-3,
    width: int = 16,
    latent: int = 4,
) -> Repeater:
    """A `Repeater` taught by mean |network(x) - x|² to repeat sound pictures; anomalies are where
    `difference(x, answers(network, x))` is large.

    Same seed, same machine, same weights; the answer stands on the device of `images`, frozen.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "autoencoder weights"))
        network = Repeater(tuple(images.shape[1:]), width, latent)
    network.to(images.device)

    def loss(chosen: Tensor) -> Tensor:
        return (network(images[chosen]) - images[chosen]).square().mean()

    fit(network, loss, len(images), seed, steps, batch, learning_rate)
    return network


@torch.no_grad()
def answers(network: Regression | Repeater, images: Float[Tensor, "_ _ height width"]) -> Images:
    """What the network makes of many pictures, a part at a time, clipped to [0, 1]."""
    return torch.cat([network(part) for part in images.split(_CHUNK)]).clamp(0.0, 1.0)
