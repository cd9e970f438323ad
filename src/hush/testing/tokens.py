"""The exact answers of tokens: any joint law over a few of them, and its never-wrong denoiser."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Categorical
from hush.processes import CategoricalProcess, Moment
from hush.rng import Streams
from hush.tensors import Condition

Tokens = Int64[Tensor, "batch token"]


@dataclass(frozen=True)
class JointTable:
    """p(x_1, …, x_D) of D tokens with K values each, as a table with D axes of K numbers that sum
    to one; small enough to add up over all K^D."""

    p: Float[Tensor, "..."]

    @classmethod
    def random(
        cls, tokens: int, length: int, seed: int = 0, sharpness: float = 1.0
    ) -> "JointTable":
        """p ∝ exp(sharpness·ε), ε standard normal: tokens that depend on each other."""
        logits = sharpness * Streams.of(seed, 1).normal((tokens,) * length, torch.float64)[0]
        return cls(logits.flatten().softmax(0).reshape(logits.shape))

    @property
    def length(self) -> int:
        """D, the number of tokens."""
        return self.p.ndim

    @property
    def tokens(self) -> int:
        """K, the number of values."""
        return len(self.p)

    def sample(self, rng: Streams) -> Tokens:
        """One sequence per stream."""
        place = torch.searchsorted(self.p.flatten().cumsum(0), rng.uniform().contiguous())
        place = place.clamp(max=self.p.numel() - 1)
        return torch.stack(torch.unravel_index(place, self.p.shape), -1)

    def log_prob(self, x: Tokens) -> Float[Tensor, " batch"]:
        """log p(x) in nats."""
        return self.p[x.unbind(-1)].log()

    def entropy(self) -> Float[Tensor, ""]:
        """-Σ p log p in nats."""
        return torch.special.entr(self.p).sum()


class TableDenoiser(Denoiser):
    """Exactly p(x_0^i | x_t) of every token, for data of a `JointTable` and any kernel: what the
    best network would believe. States (batch, D)."""

    def __init__(self, process: CategoricalProcess, table: JointTable) -> None:
        super().__init__()
        self.process, self.table = process, table

    def forward(self, x_t: Tokens, t: Moment, cond: Condition | None = None) -> Categorical:
        level, table = self.process.schedule.level(t), self.table
        likely = self.process.evidence(x_t, level)[..., : table.tokens]
        joint = table.p.expand(len(x_t), *table.p.shape)
        for place, share in enumerate(likely.unbind(1)):
            axes = (-1, *(table.tokens if i == place else 1 for i in range(table.length)))
            joint = joint * share.reshape(axes)
        beliefs = [_marginal(joint, place) for place in range(table.length)]
        padding = (0, self.process.kernel.states - table.tokens)
        return Categorical(torch.nn.functional.pad(torch.stack(beliefs, 1), padding).log())


def _marginal(joint: Float[Tensor, "batch ..."], place: int) -> Float[Tensor, "batch token"]:
    others = [axis + 1 for axis in range(joint.ndim - 1) if axis != place]
    return joint.sum(others) if others else joint
