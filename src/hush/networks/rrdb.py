"""Residual-in-residual dense blocks: what a small picture shows, as features of a larger one."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hush.networks.layers import convolution

Small = Float[Tensor, "batch channel height width"]
Features = Float[Tensor, "batch feature tall wide"]

SHARE = 0.2  # of every branch that is added
GROWTH = 4  # channels of a block per channel that each of its layers adds


class Dense(nn.Module):
    """Five convolutions that each see what all before them made; a fifth of the last is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        grow = max(1, channels // GROWTH)
        self.grown = nn.ModuleList(convolution(2, channels + i * grow, grow) for i in range(4))
        self.out = convolution(2, channels + 4 * grow, channels)

    def forward(self, x: Small) -> Small:
        seen = x
        for layer in self.grown:
            seen = torch.cat((seen, functional.leaky_relu(layer(seen), 0.2)), 1)
        return x + SHARE * self.out(seen)


class RRDB(nn.Module):
    """`blocks` residual groups of three dense blocks on the small picture that the given one was
    enlarged from (means of factor x factor), then repeated to its size: (batch, channels, height,
    width) to (batch, width, height, width).

    Wang et al. 2018, "ESRGAN: enhanced super-resolution generative adversarial networks".
    """

    def __init__(self, channels: int, width: int = 32, blocks: int = 8, factor: int = 4) -> None:
        super().__init__()
        self.factor = factor
        self.stem, self.head = convolution(2, channels, width), convolution(2, width, width)
        self.groups = nn.ModuleList(
            nn.Sequential(*(Dense(width) for _ in range(3))) for _ in range(blocks)
        )

    def forward(self, x: Small) -> Features:
        small = self.stem(functional.avg_pool2d(x, self.factor))
        seen = small
        for group in self.groups:
            seen = seen + SHARE * (group(seen) - seen)
        seen = small + self.head(seen)
        return functional.interpolate(seen, size=x.shape[2:], mode="nearest")
