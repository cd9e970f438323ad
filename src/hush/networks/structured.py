"""The network of SSSD: DiffWave's stack of gated blocks, with state spaces for dilated
convolutions."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hush.networks.blocks import Embedding
from hush.networks.layers import Map, Vector
from hush.networks.series import Series, known
from hush.networks.state_space import StateSpaceLayer
from hush.tensors import Condition

Given = Float[Tensor, "batch given length"]


class Block(nn.Module):
    """A state space before what is known is added and one after; gated, tanh(a) sigmoid(b), half of
    what follows added to x, the other half skipping to the end."""

    def __init__(self, given: int, width: int, features: int, states: int, dropout: float) -> None:
        super().__init__()
        self.clock = nn.Linear(features, width)
        self.wide = nn.Conv1d(width, 2 * width, 3, padding=1)
        self.given = nn.Conv1d(given, 2 * width, 1)
        self.before = StateSpaceLayer(2 * width, states, dropout)
        self.after = StateSpaceLayer(2 * width, states, dropout)
        self.out = nn.Conv1d(width, 2 * width, 1)

    def forward(self, x: Map, embedding: Vector, given: Given) -> tuple[Map, Map]:
        hidden = self.wide(x + self.clock(embedding).unsqueeze(-1))
        hidden = self.after(self.before(hidden) + self.given(given))
        value, gate = hidden.chunk(2, 1)
        kept, skipped = self.out(value.tanh() * gate.sigmoid()).chunk(2, 1)
        return (x + kept) * 0.5**0.5, skipped


class Structured(nn.Module):
    """(batch, channel, length) to the same shape, for series of any length: noised, but what is
    known of them clean, in training and in use; every block is told that, where it is known, and
    `features` covariates. Stamps are taken to be evenly spaced.

    What is known is a condition {"series" NaN where it is not, "covariates"}. Where it is known the
    answer is 0. Alcaraz and Strodthoff 2023, "Diffusion-based time series imputation and
    forecasting with structured state space models", section 3.4.
    """

    def __init__(
        self,
        channels: int,
        width: int = 256,
        depth: int = 36,
        states: int = 64,
        features: int = 0,
        clock: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.features = features
        self.embedding = Embedding(clock, 4 * clock)
        self.stem = nn.Conv1d(channels, width, 1)
        shape = (2 * channels + features, width, 4 * clock, states, dropout)
        self.blocks = nn.ModuleList(Block(*shape) for _ in range(depth))
        self.last, self.head = nn.Conv1d(width, width, 1), nn.Conv1d(width, channels, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, x: Series, clock: Float[Tensor, " batch"], cond: Condition | None = None
    ) -> Series:
        told = known(cond, x, self.features)
        given = torch.cat((told.values, told.seen.to(x), told.covariates), 1)
        hidden = functional.relu(self.stem(told.shown(x)))
        embedding, total = self.embedding(clock), 0.0
        for block in self.blocks:
            hidden, skipped = block(hidden, embedding, given)
            total = total + skipped
        total = functional.relu(self.last(total / math.sqrt(len(self.blocks))))
        return told.asked(self.head(total))
