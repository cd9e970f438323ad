"""A second answer beside a network's own, for what is learned later."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hush.tensors import Condition

Map = Float[Tensor, "batch channel *space"]
Wider = Float[Tensor, "batch channels *space"]


class Beside(nn.Module):
    """The answer of `base`, held as it is, and that of `head`, one after the other along the
    channels: a variance for a belief whose mean is already trained. Only `head` learns."""

    def __init__(self, base: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.base, self.head = base.requires_grad_(False), head

    def forward(
        self, x: Map, clock: Float[Tensor, " batch"], cond: Condition | None = None
    ) -> Wider:
        with torch.no_grad():
            mean = self.base(x, clock, cond)
        return torch.cat((mean, self.head(x, clock, cond)), 1)

    def train(self, mode: bool = True) -> "Beside":
        """The base stays as it is when it is used: without dropout."""
        super().train(mode)
        self.base.eval()
        return self
