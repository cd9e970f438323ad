"""The U-Net: down, across, up, with what was seen on the way down handed over on the way up.

    x ─ stem ─┬─ blocks ─┬─ half ─┬─ blocks ─┐
              │          │        │        middle
    y ─ head ─┴─ blocks ─┴─ twice ┴─ blocks ─┘

Ho et al. 2020, appendix B, with the scale-shift steering of Dhariwal and Nichol 2021.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hush.networks.blocks import (
    Attention,
    Embedding,
    Map,
    Mapped,
    Residual,
    Shortcut,
    Upsample,
    Vector,
    convolution,
    crop_to,
    group_norm,
    pad_to,
)


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


class UNet(nn.Module):
    """(batch, channel, *space) to the same shape, for 1, 2 or 3 spatial dimensions of any size.

    channels      of the input and, unless `out_channels` says otherwise, the output
    width         channels of the first resolution; `multipliers` gives those of each, halving
    blocks        residual blocks per resolution
    attention     the resolutions with self-attention (0 is the full one), in heads of `head`
    condition     a module (cond, batch) -> (batch, 4·width), such as `conditions.Labels`
    """

    def __init__(
        self,
        channels: int,
        width: int = 128,
        multipliers: Sequence[int] = (1, 2, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (1,),
        head: int = 64,
        dropout: float = 0.0,
        dims: int = 2,
        condition: nn.Module | None = None,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        features, last = 4 * width, len(multipliers) - 1
        self.multiple = 2**last

        def block(width_in: int, width_out: int, attend: bool) -> Block:
            residual = Residual(dims, width_in, width_out, features, dropout)
            return Block(residual, Attention(dims, width_out, head) if attend else None)

        self.embedding = Embedding(width, features, condition)
        self.stem = convolution(dims, channels, width)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        seen, now = [width], width
        for level, multiplier in enumerate(multipliers):
            stage = []
            for _ in range(blocks):
                stage.append(block(now, width * multiplier, level in attention))
                now = width * multiplier
                seen.append(now)
            half = convolution(dims, now, now, stride=2) if level < last else None
            seen += [now] if half else []
            self.down.append(Stage(stage, half))
        self.middle = nn.ModuleList((block(now, now, bool(attention)), block(now, now, False)))
        for level, multiplier in reversed(list(enumerate(multipliers))):
            stage = []
            for _ in range(blocks + 1):
                stage.append(block(now + seen.pop(), width * multiplier, level in attention))
                now = width * multiplier
            self.up.append(Stage(stage, Upsample(dims, now) if level else None))
        self.norm = group_norm(now)
        self.head = convolution(dims, now, out_channels or channels, zero=True)
        self.shortcut = Shortcut(features, channels, out_channels or channels)

    def forward(self, x: Map, clock: Float[Tensor, " batch"], cond: Tensor | None = None) -> Mapped:
        given, size = x, x.shape[2:]
        embedding = self.embedding(clock, cond)
        x = self.stem(pad_to(x, self.multiple))
        seen = [x]
        for stage in self.down:
            for block in stage.blocks:
                seen.append(x := block(x, embedding))
            if stage.resize is not None:
                seen.append(x := stage.resize(x))
        for block in self.middle:
            x = block(x, embedding)
        for stage in self.up:
            for block in stage.blocks:
                x = block(torch.cat((x, seen.pop()), 1), embedding)
            if stage.resize is not None:
                x = stage.resize(x)
        answer = crop_to(self.head(functional.silu(self.norm(x))), size)
        return answer + self.shortcut(given, embedding)
