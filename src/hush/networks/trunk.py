"""The trunk of what reads a whole picture: convolutions that halve it."""

import math

from torch import nn

from hush.errors import UserError

_SMALLEST = 4  # sides are halved down to this


def trunk(shape: tuple[int, ...], width: int) -> nn.Sequential:
    """(batch, *shape), moved to [-1, 1], to (batch, 4 * width): halved down to 4 pixels a side,
    then the means of four quarters. `width` is a multiple of 16.

    Raises `UserError` for pictures under 4x4.
    """
    channels, height, wide = shape
    side = min(height, wide)
    if side < _SMALLEST:
        raise UserError(f"The network got pictures of {height}x{wide}; expected 4x4 or more.")
    halvings = max(1, math.ceil(math.log2(side / _SMALLEST)))
    layers = [_layer(channels, width // 2, stride=1), _layer(width // 2, width, stride=2)]
    layers += [_layer(width, width, stride=2) for _ in range(halvings - 1)]
    # Four quarters, not one mean: where a stroke lies tells a 6 from a 9.
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())


def _layer(inside: int, outside: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(8, outside), nn.ReLU())
