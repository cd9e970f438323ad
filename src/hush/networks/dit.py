"""The diffusion transformer: patches as tokens, the time and condition as scales and shifts."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hush.networks.blocks import Embedding, Shortcut, crop_to, pad_to
from hush.networks.dropout import Dropout
from hush.networks.layers import CONVOLUTIONS, Map, Mapped, Vector, attend
from hush.tensors import Condition

Tokens = Float[Tensor, "batch token width"]


def positions(grid: torch.Size, features: int, device: torch.device) -> Tokens:
    """Sines and cosines of every coordinate of a grid of tokens: (1, token, width)."""
    frequencies = features // (2 * len(grid))
    steps = torch.arange(frequencies, dtype=torch.float32, device=device) / frequencies
    scales = torch.exp(-math.log(10_000.0) * steps)
    axes = [torch.arange(size, dtype=torch.float32, device=device) for size in grid]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(grid), 1)
    angle = (places * scales).flatten(1)
    waves = torch.cat((angle.sin(), angle.cos()), 1)
    return functional.pad(waves, (0, features - waves.shape[1])).unsqueeze(0)


class Layer(nn.Module):
    """Attention and a two-layer perceptron, each with its norm scaled, shifted and gated by the
    embedding; the gates start at zero ("adaLN-Zero", Peebles and Xie 2023, section 3.2)."""

    def __init__(self, width: int, heads: int, features: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.steer = nn.Linear(features, 6 * width)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.drop_mixed, self.drop_narrow = Dropout(dropout), Dropout(dropout)

    def forward(self, x: Tokens, embedding: Vector) -> Tokens:
        steer = self.steer(embedding).unsqueeze(1).chunk(6, -1)
        x = x + steer[2] * self.drop_mixed(self._attend(_modulated(x, *steer[:2])))
        hidden = functional.gelu(self.wide(_modulated(x, *steer[3:5])), approximate="tanh")
        return x + steer[5] * self.drop_narrow(self.narrow(hidden))

    def _attend(self, x: Tokens) -> Tokens:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 4, 1)
        return self.out(attend(query, key, value).flatten(1, 2).mT)


def _modulated(x: Tokens, scale: Tensor, shift: Tensor) -> Tokens:
    return torch.addcmul(shift, functional.layer_norm(x, x.shape[-1:]), 1.0 + scale)


class DiT(nn.Module):
    """(batch, channel, *space) to the same shape through `depth` transformer layers over patches of
    side `patch`, for 1, 2 or 3 spatial dimensions of any size. The interface of `UNet`.

    Peebles and Xie 2023, "Scalable diffusion models with transformers".
    """

    def __init__(
        self,
        channels: int,
        width: int = 384,
        depth: int = 12,
        patch: int = 2,
        head: int = 64,
        dropout: float = 0.0,
        dims: int = 2,
        condition: nn.Module | None = None,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        heads = next(h for h in range(-(-width // head), width + 1) if width % h == 0)
        features, self.patch, self.dims = 4 * width, patch, dims
        self.out_channels = out_channels or channels
        self.embedding = Embedding(width, features, condition)
        self.stem = CONVOLUTIONS[dims](channels, width, patch, stride=patch)
        self.layers = nn.ModuleList(Layer(width, heads, features, dropout) for _ in range(depth))
        self.steer = nn.Linear(features, 2 * width)
        self.head = nn.Linear(width, self.out_channels * patch**dims)
        for layer in (self.steer, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.shortcut = Shortcut(features, channels, self.out_channels)

    def forward(
        self, x: Map, clock: Float[Tensor, " batch"], cond: Condition | None = None
    ) -> Mapped:
        size = x.shape[2:]
        embedding = self.embedding(clock, cond)
        patches = self.stem(pad_to(x, self.patch))
        grid = patches.shape[2:]
        tokens = patches.flatten(2).transpose(1, 2)
        tokens = tokens + positions(grid, tokens.shape[-1], x.device).to(tokens.dtype)
        for layer in self.layers:
            tokens = layer(tokens, embedding)
        scale, shift = self.steer(embedding).unsqueeze(1).chunk(2, -1)
        answer = self._unpatch(self.head(_modulated(tokens, scale, shift)), grid)
        return crop_to(answer, size) + self.shortcut(x, embedding)

    def _unpatch(self, tokens: Tokens, grid: torch.Size) -> Mapped:
        blocks = tokens.transpose(1, 2).unflatten(2, grid)
        blocks = blocks.unflatten(1, (self.out_channels, *(self.patch,) * self.dims))
        # (batch, channel, patch…, grid…) to (batch, channel, grid, patch, grid, patch, …)
        pairs = [axis for d in range(self.dims) for axis in (2 + self.dims + d, 2 + d)]
        return blocks.permute(0, 1, *pairs).reshape(
            len(tokens), self.out_channels, *(side * self.patch for side in grid)
        )
