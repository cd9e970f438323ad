"""The U-Net: down, across, up, with what was seen on the way down handed over on the way up.

    x ─ stem ─┬─ blocks ─┬─ half ─┬─ blocks ─┐
              │          │        │        middle
    y ─ head ─┴─ blocks ─┴─ twice ┴─ blocks ─┘

Ho et al. 2020, appendix B, with the scale-shift steering of Dhariwal and Nichol 2021; a `Style`
makes it the U-Net of either paper, to the weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hush.networks.blocks import (
    OWN,
    Attention,
    Corner,
    Embedding,
    Residual,
    Shortcut,
    Style,
    Upsample,
    crop_to,
    group_norm,
    pad_to,
)
from hush.networks.layers import Map, Mapped, Vector, convolution
from hush.tensors import Condition


class Block(nn.Module):
    """A residual block, followed by attention where it is asked for."""

    def __init__(self, residual: Residual, attention: Attention | None) -> None:
        super().__init__()
        self.residual, self.attention = residual, attention

    def forward(self, x: Map, embedding: Vector) -> Mapped:
        x = self.residual(x, embedding)
        return x if self.attention is None else self.attention(x)


class Stage(nn.Module):
    """The blocks of one resolution, and the change to the next."""

    def __init__(self, blocks: Sequence[Block], resize: nn.Module | None) -> None:
        super().__init__()
        self.blocks, self.resize = nn.ModuleList(blocks), resize

    def resized(self, x: Map, embedding: Vector) -> Mapped:
        """The map at the next resolution."""
        steered = isinstance(self.resize, Residual)
        return self.resize(x, embedding) if steered else self.resize(x)


@dataclass(frozen=True)
class Parts:
    """What the blocks of one U-Net have in common, and how they stand."""

    dims: int
    features: int
    blocks: int
    attention: Sequence[int]
    head: int
    dropout: float
    style: Style

    def down(self, widths: Sequence[int], stem: int) -> tuple[list[Stage], list[int]]:
        """The stages on the way down, and the channels of each map that is handed over."""
        stages, seen, now = [], [stem], stem
        for level, wide in enumerate(widths):
            blocks = []
            for _ in range(self.blocks):
                blocks.append(self.block(now, wide, level in self.attention))
                seen.append(now := wide)
            half = self._half(wide) if level < len(widths) - 1 else None
            seen += [wide] if half else []
            stages.append(Stage(blocks, half))
        return stages, seen

    def middle(self, width: int) -> list[Block]:
        """The two blocks across."""
        follows = self.style.middle == "follow"
        attend = bool(self.attention) if follows else self.style.middle != "none"
        first = self.block(width, width, attend, self.style.middle == "bare")
        return [first, self.block(width, width, False)]

    def up(self, widths: Sequence[int], seen: Sequence[int]) -> list[Stage]:
        """The stages on the way up, which take the maps over, the last one first."""
        stages, now, left = [], widths[-1], list(seen)
        for level, wide in reversed(list(enumerate(widths))):
            blocks = []
            for _ in range(self.blocks + 1):
                blocks.append(self.block(now + left.pop(), wide, level in self.attention))
                now = wide
            stages.append(Stage(blocks, self._twice(wide) if level else None))
        return stages

    def block(self, channels: int, out: int, attend: bool, bare: bool = False) -> Block:
        """A block, with attention or without."""
        residual = self._residual(channels, out)
        attention = Attention(self.dims, out, self.head, self.style, bare) if attend else None
        return Block(residual, attention)

    def _residual(self, channels: int, out: int, scale: float = 1.0) -> Residual:
        return Residual(self.dims, channels, out, self.features, self.dropout, self.style, scale)

    def _half(self, channels: int) -> nn.Module:
        if self.style.resize == "residual":
            return self._residual(channels, channels, 0.5)
        if self.style.resize == "corner":
            return Corner(self.dims, channels)
        return convolution(self.dims, channels, channels, stride=2)

    def _twice(self, channels: int) -> nn.Module:
        if self.style.resize == "residual":
            return self._residual(channels, channels, 2.0)
        return Upsample(self.dims, channels)


class UNet(nn.Module):
    """(batch, channel, *space) to the same shape, for 1, 2 or 3 spatial dimensions of any size.

    channels      of the input and, unless `out_channels` says otherwise, the output
    width         channels of the first resolution; `multipliers` gives those of each, halving
    blocks        residual blocks per resolution
    attention     the resolutions with self-attention (0 is the full one), in heads of `head`
    condition     a module (cond, batch) -> (batch, 4·width), such as `conditions.Labels`
    style         what other U-Nets do differently
    """

    def __init__(
        self,
        channels: int,
        width: int = 128,
        multipliers: Sequence[int | float] = (1, 2, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (1,),
        head: int = 64,
        dropout: float = 0.0,
        dims: int = 2,
        condition: nn.Module | None = None,
        out_channels: int | None = None,
        style: Style = OWN,
    ) -> None:
        super().__init__()
        waves, out = style.waves or width, out_channels or channels
        self.style, self.multiple = style, 2 ** (len(multipliers) - 1)
        make = Parts(dims, 4 * waves, blocks, attention, head, dropout, style)
        widths = [round(width * multiplier) for multiplier in multipliers]
        self.embedding = Embedding(waves, 4 * waves, condition, style.period)
        self.stem = convolution(dims, channels, width)
        down, seen = make.down(widths, width)
        self.down, self.up = nn.ModuleList(down), nn.ModuleList()
        self.middle = nn.ModuleList(make.middle(widths[-1]))
        self.up.extend(make.up(widths, seen))
        self.norm = group_norm(widths[0], style)
        self.head = convolution(dims, widths[0], out, zero=True)
        self.shortcut = Shortcut(4 * waves, channels, out) if style.shortcut else None

    def forward(
        self, x: Map, clock: Float[Tensor, " batch"], cond: Condition | None = None
    ) -> Mapped:
        given, size = x, x.shape[2:]
        embedding = self.embedding(clock, cond)
        x = self.stem(pad_to(x, self.multiple))
        seen = [x]
        for stage in self.down:
            for block in stage.blocks:
                seen.append(x := block(x, embedding))
            if stage.resize is not None:
                seen.append(x := stage.resized(x, embedding))
        for block in self.middle:
            x = block(x, embedding)
        for stage in self.up:
            for block in stage.blocks:
                x = block(torch.cat((x, seen.pop()), 1), embedding)
            if stage.resize is not None:
                x = stage.resized(x, embedding)
        answer = crop_to(self.head(functional.silu(self.norm(x))), size)
        return answer if self.shortcut is None else answer + self.shortcut(given, embedding)
