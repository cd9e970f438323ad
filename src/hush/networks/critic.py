"""A critic of patches: whether what is seen is real, place by place."""

import torch
from torch import nn
from torch.func import functional_call

from hush.networks.blocks import group_norm
from hush.networks.layers import Map, Mapped, convolution

SLOPE = 0.2  # of a leaky unit, below 0


class PatchCritic(nn.Module):
    """(batch, channel, *space) to (batch, 1, *place): a number for each patch, above 0 where it
    looks real. Convolutions, each of `layers` of them halving the sides.

    Isola, Zhu, Zhou and Efros 2017, "Image-to-image translation with conditional adversarial
    networks", section 3.2.2.
    """

    def __init__(self, channels: int, width: int = 32, layers: int = 2, dims: int = 2) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for layer in range(layers):
            wide = width * 2**layer
            parts.append(convolution(dims, channels, wide, kernel=3, stride=2))
            parts += [group_norm(wide)] if layer else []
            parts.append(nn.LeakyReLU(SLOPE))
            channels = wide
        parts.append(convolution(dims, channels, 1))
        self.layers = nn.Sequential(*parts)

    def forward(self, x: Map) -> Mapped:
        return self.layers(x)

    def held(self, x: Map) -> Mapped:
        """What it says of x, to teach whoever made x and not itself."""
        weights = {name: weight.detach() for name, weight in self.named_parameters()}
        return functional_call(self, weights, (x,))


def hinge(real: Mapped, made: Mapped) -> torch.Tensor:
    """½ (max(0, 1 - D(real)) + max(0, 1 + D(made))), per sample: what a critic makes small."""
    doubt = (1.0 - real).relu() + (1.0 + made).relu()
    return 0.5 * doubt.flatten(1).mean(1)
