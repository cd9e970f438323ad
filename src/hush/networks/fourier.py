"""Fourier features of the input: what lets a network see the last bit of a pixel."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hush.networks.layers import Map, Mapped


class Fourier(nn.Module):
    """body(x ⊕ sin(2ⁿ π x) ⊕ cos(2ⁿ π x), clock, cond), n in `frequencies`, joined as channels.

    `body` takes `widened` channels and answers with as many as the data have.
    Kingma et al. 2021, "Variational diffusion models", appendix C.
    """

    def __init__(self, body: nn.Module, frequencies: tuple[int, ...] = (6, 7)) -> None:
        super().__init__()
        self.body, self.frequencies = body, frequencies

    def forward(self, x: Map, clock: Float[Tensor, " batch"], cond: Tensor | None = None) -> Mapped:
        angles = [2.0**n * math.pi * x for n in self.frequencies]
        waves = [wave for angle in angles for wave in (angle.sin(), angle.cos())]
        return self.body(torch.cat((x, *waves), 1), clock, cond)


def widened(channels: int, frequencies: tuple[int, ...]) -> int:
    """Channels of the data and of their features."""
    return channels * (1 + 2 * len(frequencies))


def frequencies_of(levels: int) -> tuple[int, int]:
    """The two n that tell `levels` even values of [-1, 1] apart: the higher has a period of two of
    them, so that it alternates from level to level, and the lower of four.

    >>> frequencies_of(256), frequencies_of(17)
    ((6, 7), (2, 3))
    """
    highest = round(math.log2((levels - 1) / 2))
    return highest - 1, highest
