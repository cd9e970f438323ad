"""Conditions as vectors: what a network is told beside the time.

An absent condition is -1 for a label and NaN for features, per sample, or None for all.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Labels(nn.Module):
    """One learned vector per class, and one for "no class"."""

    def __init__(self, classes: int, features: int) -> None:
        super().__init__()
        self.classes = classes
        self.table = nn.Embedding(classes + 1, features)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(
        self, cond: Int[Tensor, " batch"] | None, batch: int
    ) -> Float[Tensor, "batch feature"]:
        if cond is None:
            cond = self.table.weight.new_full((batch,), -1, dtype=torch.int64)
        return self.table(torch.where(cond < 0, self.classes, cond))


class Features(nn.Module):
    """A free vector of numbers through a linear layer; a learned vector where it is absent (NaN).

    Attributes, an embedding of a text, weather, a dose: anything of `count` numbers per sample.
    """

    def __init__(self, count: int, features: int) -> None:
        super().__init__()
        self.count = count
        self.linear = nn.Linear(count, features)
        self.none = nn.Parameter(torch.zeros(features))

    def forward(
        self, cond: Float[Tensor, " batch count"] | None, batch: int
    ) -> Float[Tensor, "batch feature"]:
        if cond is None:
            return self.none.expand(batch, -1)
        missing = cond.isnan().any(1, keepdim=True)
        known = self.linear(cond.nan_to_num().to(self.linear.weight.dtype))
        return torch.where(missing, self.none, known)
