"""The pieces networks are made of, for 1, 2 or 3 spatial dimensions."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hush.networks.dropout import Dropout
from hush.networks.layers import (
    CONVOLUTIONS,
    GroupNorm,
    Map,
    Mapped,
    Vector,
    attend,
    convolution,
    projected,
    resampled,
    twice,
)
from hush.tensors import Condition


@dataclass(frozen=True)
class Style:
    """What the U-Nets of the literature do each in their own way. The defaults are hush's."""

    groups: int | None = None
    """Groups of each normalisation; by default at most 32 of at least 4 channels."""
    eps: float = 1e-6
    """What normalisations add to a variance."""
    steer: Literal["scale_shift", "add"] = "scale_shift"
    """The embedding scales and shifts what is normalised, or is added before."""
    heads: int | None = None
    """Heads of every attention; by default as many as have `head` channels."""
    middle: Literal["follow", "attend", "bare", "none"] = "follow"
    """Attention in the middle: where any resolution has it, always, without a norm, never."""
    resize: Literal["convolution", "corner", "residual"] = "convolution"
    """Between resolutions: convolutions, padded around or at the far corner when they halve, or
    residual blocks that average and repeat."""
    period: float = 10_000.0
    """The frequencies of the clock's sinusoids fall from 1 toward 1/period."""
    waves: int | None = None
    """Sinusoids of the clock, a quarter of the embedding; by default the network's width."""
    shortcut: bool = True
    """Whether the input, times a gain, is added to the output."""


OWN = Style()


def group_norm(channels: int, style: Style = OWN) -> GroupNorm:
    """Group normalisation: with at most 32 groups of at least 4 channels, as many as divide them,
    where the style names no number."""
    groups = style.groups or math.gcd(channels, max(1, min(32, channels // 4)))
    return GroupNorm(groups, channels, eps=style.eps)


def sinusoids(clock: Float[Tensor, " batch"], features: int, period: float = 10_000.0) -> Vector:
    """(cos, sin) of the clock at `features`/2 frequencies from 1 down to 1/period, geometrically.

    Vaswani et al. 2017, "Attention is all you need", section 3.5.
    """
    half = features // 2
    steps = torch.arange(half, dtype=torch.float32, device=clock.device) / half
    angle = clock.float()[:, None] * torch.exp(-math.log(period) * steps)
    return torch.cat((angle.cos(), angle.sin()), 1)


class Embedding(nn.Module):
    """The clock, and the condition if there is one, as the vector that steers every block."""

    def __init__(
        self,
        width: int,
        features: int,
        condition: nn.Module | None = None,
        period: float = OWN.period,
    ) -> None:
        super().__init__()
        self.width, self.period = width, period
        self.first, self.second = nn.Linear(width, features), nn.Linear(features, features)
        self.condition = condition

    def forward(self, clock: Float[Tensor, " batch"], cond: Condition | None = None) -> Vector:
        waves = sinusoids(clock, self.width, self.period).to(self.first.weight.dtype)
        embedded = self.second(functional.silu(self.first(waves)))
        if self.condition is not None:
            embedded = embedded + self.condition(cond, len(clock))
        return functional.silu(embedded)


class Residual(nn.Module):
    """norm, SiLU, convolution; norm scaled and shifted by the embedding, SiLU, convolution; added.

    The block of DDPM with the scale-shift of Dhariwal and Nichol 2021, "Diffusion models beat
    GANs", table 4 ("AdaGN"); or with DDPM's own addition of the embedding before the second norm.
    With a `scale` of ½ or 2 it changes the size as well, before its first convolution.
    """

    def __init__(
        self,
        dims: int,
        channels: int,
        out: int,
        features: int,
        dropout: float = 0.0,
        style: Style = OWN,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.adds, self.scale = style.steer == "add", scale
        self.norm_in, self.norm_out = group_norm(channels, style), group_norm(out, style)
        self.conv_in = convolution(dims, channels, out)
        self.conv_out = convolution(dims, out, out, zero=True)
        self.steer = nn.Linear(features, out if self.adds else 2 * out)
        self.dropout = Dropout(dropout)
        self.same = channels == out
        self.shortcut = nn.Identity() if self.same else convolution(dims, channels, out, kernel=1)

    def forward(self, x: Map, embedding: Vector) -> Mapped:
        hidden = self._first(functional.silu(self.norm_in(x)))
        hidden = functional.silu(self._steered(hidden, self.steer(embedding)))
        x = x if self.scale == 1.0 else resampled(x, self.scale)
        x = x if self.same else projected(self.shortcut, x)
        return x + self.conv_out(self.dropout(hidden))

    def _first(self, x: Map) -> Mapped:
        if self.scale == 2.0:
            return twice(self.conv_in, x)
        return self.conv_in(x if self.scale == 1.0 else resampled(x, self.scale))

    def _steered(self, hidden: Map, steer: Vector) -> Map:
        if self.adds:
            return self.norm_out(hidden + steer.reshape(steer.shape + (1,) * (hidden.ndim - 2)))
        return self.norm_out(hidden, *steer.chunk(2, 1))


class Attention(nn.Module):
    """Self-attention between all places of a map, with heads of at most `head` channels unless the
    style names their number, added."""

    def __init__(
        self, dims: int, channels: int, head: int = 64, style: Style = OWN, bare: bool = False
    ) -> None:
        super().__init__()
        least = -(-channels // head)
        self.heads = style.heads or next(h for h in range(least, channels + 1) if channels % h == 0)
        self.norm = nn.Identity() if bare else group_norm(channels, style)
        self.qkv = convolution(dims, channels, 3 * channels, kernel=1)
        self.out = convolution(dims, channels, channels, kernel=1, zero=True)

    def forward(self, x: Map) -> Map:
        qkv = self.qkv(self.norm(x)).flatten(2).unflatten(1, (3, self.heads, -1))
        return x + self.out(attend(*qkv.unbind(1)).reshape(x.shape))


class Upsample(nn.Module):
    """Twice the size by repeating each place, then a convolution."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.conv = convolution(dims, channels, channels)

    def forward(self, x: Map) -> Mapped:
        return twice(self.conv, x)


class Corner(nn.Module):
    """Half the size by a convolution that pads the far sides alone, as DDPM's code does."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.conv = CONVOLUTIONS[dims](channels, channels, 3, stride=2)

    def forward(self, x: Map) -> Mapped:
        return self.conv(functional.pad(x, (0, 1) * (x.ndim - 2)))


class Shortcut(nn.Module):
    """The input times a gain per channel that the embedding steers, to be added to the output.

    A network that predicts noise must be nearly the identity where nearly all is noise, to an error
    far below α/σ; through normalised blocks that takes very long to learn, here it takes one layer.
    It starts at zero. Outputs beyond the input's channels get nothing.
    """

    def __init__(self, features: int, channels: int, out: int) -> None:
        super().__init__()
        self.shared, self.extra = min(channels, out), max(0, out - channels)
        self.gain = nn.Linear(features, self.shared)
        nn.init.zeros_(self.gain.weight)
        nn.init.zeros_(self.gain.bias)

    def forward(self, x: Map, embedding: Vector) -> Mapped:
        gain = self.gain(embedding).reshape(len(x), self.shared, *(1,) * (x.ndim - 2))
        kept = gain * x[:, : self.shared]
        return functional.pad(kept, (0, 0) * (x.ndim - 2) + (0, self.extra))


def pad_to(x: Map, multiple: int) -> Mapped:
    """Repeat the far edges until every side is a multiple of `multiple`; the network that pads
    crops its answer with `crop_to`."""
    missing = [-size % multiple for size in x.shape[2:]]
    if not any(missing):
        return x
    widths = [side for extra in reversed(missing) for side in (0, extra)]
    return functional.pad(x, widths, mode="replicate")


def crop_to(x: Map, size: torch.Size) -> Mapped:
    """Undo `pad_to`: keep the first `size` places of every side."""
    return x[(..., *(slice(side) for side in size))]
