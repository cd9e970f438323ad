"""The network of TimeGrad: a recurrent one over the past, and what lies at a stamp told from it."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hush.networks.blocks import Embedding
from hush.networks.dropout import Dropout
from hush.networks.layers import Map, Vector
from hush.networks.series import Known, Series, known
from hush.tensors import Condition

Line = Float[Tensor, "batch 1 place"]  # a place for every channel of one stamp


class Block(nn.Module):
    """A dilated convolution over the channels, gated by what is known of the past, tanh(a)
    sigmoid(b); half of what follows added to x, the other half skipping to the end."""

    def __init__(self, width: int, clock: int, dilation: int) -> None:
        super().__init__()
        self.clock = nn.Linear(clock, width)
        self.wide = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        self.past = nn.Conv1d(1, 2 * width, 1)
        self.out = nn.Conv1d(width, 2 * width, 1)

    def forward(self, x: Map, embedding: Vector, past: Line) -> tuple[Map, Map]:
        hidden = self.wide(x + self.clock(embedding).unsqueeze(-1)) + self.past(past)
        gate, value = hidden.chunk(2, 1)
        kept, skipped = self.out(gate.sigmoid() * value.tanh()).chunk(2, 1)
        return (x + kept) * 0.5**0.5, skipped


class Recurrent(nn.Module):
    """(batch, channel, stamp) to the same shape: the noise of each of the last stamps of a series,
    told from what is known before it, and from nothing else of the others.

    The condition is the whole series {"series" NaN where it is not known, "covariates"}, of which x
    are the last stamps; an LSTM reads the values before each, and the covariates up to it. Stamps
    are taken to be evenly spaced. Rasul et al. 2021, "Autoregressive denoising diffusion models for
    multivariate probabilistic time series forecasting", section 3 and figure 2.
    """

    def __init__(
        self,
        channels: int,
        cells: int = 40,
        layers: int = 2,
        width: int = 8,
        depth: int = 8,
        features: int = 0,
        clock: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.features = features
        self.past = nn.LSTM(2 * channels + features, cells, layers, batch_first=True)
        self.drop_read, self.drop_told = Dropout(dropout), Dropout(dropout)
        self.embedding = Embedding(clock, 2 * clock)
        self.stem, self.spread = nn.Conv1d(1, width, 1), nn.Linear(cells, channels)
        self.blocks = nn.ModuleList(
            Block(width, 2 * clock, 2 ** (number % 2)) for number in range(depth)
        )
        self.last, self.head = nn.Conv1d(width, width, 3, padding=1), nn.Conv1d(width, 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, x: Series, clock: Float[Tensor, " batch"], cond: Condition | None = None
    ) -> Series:
        told = self.told(x, cond)
        read = self.past(self.drop_read(self._before(told)))[0][:, -x.shape[2] :]
        past = self.spread(self.drop_told(read))
        stamps = x.mT.flatten(0, 1).unsqueeze(1)
        embedding = self.embedding(clock).repeat_interleave(x.shape[2], 0)
        hidden, total = functional.leaky_relu(self.stem(stamps), 0.4), 0.0
        for block in self.blocks:
            hidden, skipped = block(hidden, embedding, past.flatten(0, 1).unsqueeze(1))
            total = total + skipped
        total = functional.leaky_relu(self.last(total / math.sqrt(len(self.blocks))), 0.4)
        return self.head(total).squeeze(1).unflatten(0, (len(x), -1)).mT

    def told(self, x: Series, cond: Condition | None) -> Known:
        """What the condition says of the series that x is the end of."""
        whole = x if cond is None else cond["series"]
        return known(cond, whole.to(x), self.features)

    def _before(self, told: Known) -> Float[Tensor, "batch stamp feature"]:
        """What the recurrent network reads at each stamp: nothing of that stamp but covariates."""
        values = torch.cat((told.values, told.seen.to(told.values)), 1)
        return torch.cat((functional.pad(values, (1, -1)), told.covariates), 1).mT
